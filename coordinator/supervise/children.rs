//! The children that the coordinator has, and the channels to them.
//!
//! A child stays here until its process is reaped, even when its channel is closed, or until it says that it left a process
//! that goes on with others. A worker that may share a process is added to one that has room, else one is made for it.

use super::processes::{Processes, Sharing};
use super::spawn::{self, Output, SpawnError, Spawned};
use crate::pool::{Child, Exit, Signal, Usage, Work};
use crate::sources::{Source, Sources};
use mio::{Registry, Token};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::gateway::{FromGateway, ToGateway};
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{Channel, ChannelError, FrameError, PROTO, ReadOutcome};
use touchline_common::model::{Epoch, Generation};
use touchline_common::sys::crash_marker::CrashMarker;
use touchline_worker::net::Watch;

/// The longest message from a child, bytes.
const IN_LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for a child: the whole of its commands after a start, with room.
const OUT_LIMIT: usize = 64 * 1024 * 1024;

/// The first frame's second byte, in every version.
const FRAME_FAMILY: u8 = 0x74;

/// A child's channel, by what it carries.
#[derive(Debug)]
enum Link {
    Worker(Channel<FromWorker, ToWorker>),
    Recorder(Channel<FromRecorder, ToRecorder>),
    Gateway(Channel<FromGateway, ToGateway>),
}

#[derive(Debug)]
struct Entry {
    generation: Generation,
    pid: u32,
    link: Option<(Link, Token, Watch)>,
    crash_marker: Option<CrashMarker>,
    state: ChildState,
}

/// How far a child is in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// Until it has its welcome it understands nothing but what belongs to a beginning.
    New,
    Welcomed,
    Leaving,
    /// It reported that it ended, with this code, and that its process goes on.
    Left(u8),
}

#[derive(Debug)]
pub enum Message {
    Worker(FromWorker, u32),
    Recorder(FromRecorder, u32),
    Gateway(FromGateway),
}

/// Every child that is not gone.
#[derive(Debug, Default)]
pub struct Children {
    entries: BTreeMap<Child, Entry>,
    processes: Processes,
    recorder_output: Output,
}

impl Children {
    /// None yet.
    pub fn new(recorder_output: Output) -> Children {
        Children { recorder_output, ..Children::default() }
    }

    /// Starts a child, of this feed if it is a worker, and watches it; gives its process.
    ///
    /// # Errors
    /// [`SpawnError`]: there is no such child then.
    pub fn spawn(
        &mut self,
        child: Child,
        generation: Generation,
        feed: Option<&str>,
        sharing: Sharing,
        sources: &mut Sources,
    ) -> Result<u32, SpawnError> {
        let (pid, channel) = match self.host(sharing) {
            Some((pid, host)) => (pid, self.add_worker(host)?),
            None => {
                let Spawned { pid, pidfd, channel } = spawn::spawn(child, feed, self.recorder_output)?;
                self.processes
                    .insert(pid, pidfd, sharing, sources)
                    .map_err(|source| SpawnError { operation: "watching a child", source })?;
                (pid, channel)
            }
        };
        let token = sources.insert(Source::Channel(child));
        let opened = open(child, channel, token, sources.registry()).and_then(|(mut link, watch)| {
            let crash_marker = give_crash_marker(&mut link)?;
            Ok((link, watch, crash_marker))
        });
        let (link, watch, crash_marker) = opened.map_err(|source| {
            // Its channel is closed with this: it finds no coordinator and leaves.
            sources.remove(token);
            SpawnError { operation: "watching a child's channel", source }
        })?;
        let link = Some((link, token, watch));
        self.entries.insert(child, Entry { generation, pid, link, crash_marker, state: ChildState::New });
        Ok(pid)
    }

    /// The emptiest process with room for one more worker, and one of those that it runs.
    fn host(&self, sharing: Sharing) -> Option<(u32, Child)> {
        let Sharing::Shared { feed, most } = sharing else { return None };
        let takes_messages = |child: &Child| {
            self.entries.get(child).is_some_and(|entry| {
                entry.link.is_some() && matches!(entry.state, ChildState::New | ChildState::Welcomed)
            })
        };
        let with_room = self.processes.open_to(feed).filter_map(|pid| {
            let children = self.of_process(pid);
            let host = children.iter().copied().find(takes_messages)?;
            (children.len() < most).then_some((children.len(), pid, host))
        });
        with_room.min().map(|(_, pid, host)| (pid, host))
    }

    /// Sends one end of a new channel to the process of `host`, for one more worker; gives the other.
    fn add_worker(&mut self, host: Child) -> Result<OwnedFd, SpawnError> {
        let (near, far) = spawn::channel_pair()?;
        self.send_worker(host, &ToWorker::AddWorker, 0, Some(far)).map_err(|error| SpawnError {
            operation: "adding a worker to a process",
            source: io::Error::other(error.to_string()),
        })?;
        Ok(near)
    }

    /// The child's generation, if it is there.
    pub fn generation(&self, child: Child) -> Option<Generation> {
        self.entries.get(&child).map(|entry| entry.generation)
    }

    pub fn set_state(&mut self, child: Child, state: ChildState) {
        if let Some(entry) = self.entries.get_mut(&child) {
            entry.state = state;
        }
    }

    pub fn note_busy(&mut self, child: Child, busy: f32) {
        if let Some(entry) = self.entries.get(&child) {
            self.processes.note_busy(entry.pid, busy);
        }
    }

    /// Takes out a child whose channel is closed if it left a process that others still run in; how it ended.
    pub fn take_left(&mut self, child: Child) -> Option<Exit> {
        let entry = self.entries.get(&child).filter(|entry| entry.link.is_none())?;
        let ChildState::Left(code) = entry.state else { return None };
        if self.of_process(entry.pid).len() < 2 {
            return None;
        }
        self.entries.remove(&child);
        Some(Exit::Code(code.into()))
    }

    pub fn of_process(&self, pid: u32) -> Vec<Child> {
        self.entries.iter().filter(|(_, entry)| entry.pid == pid).map(|(child, _)| *child).collect()
    }

    /// What a child that was not welcomed would have answered, if `error` is that it speaks another version.
    pub fn foreign_hello(&self, child: Child, error: &ChannelError) -> Option<Hello> {
        let entry = self.entries.get(&child).filter(|entry| entry.state == ChildState::New)?;
        let ChannelError::Frame(FrameError::Magic { header: [version, family, ..] }) = error else {
            return None;
        };
        let (proto, ours) = (u16::from(*version), PROTO.to_le_bytes());
        // The low byte is the version, the high one the mark that all versions share.
        let kin = *family == FRAME_FAMILY && *version != ours[0];
        kin.then(|| Hello { proto_min: proto, proto_max: proto, build: String::new(), pid: entry.pid })
    }

    /// The children that understand us: their channel is open and they have their welcome.
    pub fn listening(&self) -> impl Iterator<Item = Child> + '_ {
        let takes_messages = |entry: &Entry| {
            entry.link.is_some() && matches!(entry.state, ChildState::Welcomed | ChildState::Leaving)
        };
        self.entries.iter().filter(move |(_, entry)| takes_messages(entry)).map(|(child, _)| *child)
    }

    pub fn peer_closed(&mut self, child: Child) {
        match self.link(child) {
            Some(Link::Worker(channel)) => channel.peer_closed(),
            Some(Link::Recorder(channel)) => channel.peer_closed(),
            Some(Link::Gateway(channel)) => channel.peer_closed(),
            None => {}
        }
    }

    /// Reads a child's channel.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn read(&mut self, child: Child) -> Result<ReadOutcome, ChannelError> {
        match self.link(child) {
            Some(Link::Worker(channel)) => channel.read(),
            Some(Link::Recorder(channel)) => channel.read(),
            Some(Link::Gateway(channel)) => channel.read(),
            None => Ok(ReadOutcome::Drained),
        }
    }

    /// A child's next message.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn next(&mut self, child: Child) -> Result<Option<Message>, ChannelError> {
        Ok(match self.link(child) {
            Some(Link::Worker(channel)) => {
                channel.next()?.map(|(message, request, _)| Message::Worker(message, request))
            }
            Some(Link::Recorder(channel)) => {
                channel.next()?.map(|(message, request, _)| Message::Recorder(message, request))
            }
            Some(Link::Gateway(channel)) => channel.next()?.map(|(message, _, _)| Message::Gateway(message)),
            None => None,
        })
    }

    /// Queues a message to a worker; a worker whose channel is closed gets nothing.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn send_worker(
        &mut self,
        child: Child,
        message: &ToWorker,
        request: u32,
        fd: Option<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match (self.link(child), fd) {
            (Some(Link::Worker(channel)), Some(fd)) => channel.send_fd(message, request, fd),
            (Some(Link::Worker(channel)), None) => channel.send(message, request),
            (Some(Link::Recorder(_) | Link::Gateway(_)) | None, _) => Ok(()),
        }
    }

    /// Queues a message to the recorder, if there is one to take it.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn send_recorder(
        &mut self,
        message: &ToRecorder,
        request: u32,
        fd: Option<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match (self.link(Child::RECORDER), fd) {
            (Some(Link::Recorder(channel)), Some(fd)) => channel.send_fd(message, request, fd),
            (Some(Link::Recorder(channel)), None) => channel.send(message, request),
            (Some(Link::Worker(_) | Link::Gateway(_)) | None, _) => Ok(()),
        }
    }

    /// Queues a message to the gateway, if there is one to take it.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn send_gateway(&mut self, message: &ToGateway, fd: Option<OwnedFd>) -> Result<(), ChannelError> {
        match (self.link(Child::GATEWAY), fd) {
            (Some(Link::Gateway(channel)), Some(fd)) => channel.send_fd(message, 0, fd),
            (Some(Link::Gateway(channel)), None) => channel.send(message, 0),
            (Some(Link::Worker(_) | Link::Recorder(_)) | None, _) => Ok(()),
        }
    }

    /// Writes what is queued for every child; those that cannot be written any more are named with the reason.
    pub fn flush(&mut self, registry: &Registry) -> Vec<(Child, io::Error)> {
        let mut broken = Vec::new();
        for (child, entry) in &mut self.entries {
            let Some((link, _, watch)) = &mut entry.link else { continue };
            let flushed = match link {
                Link::Worker(channel) if channel.queued() > 0 => channel.flush().map(|_| channel.queued()),
                Link::Recorder(channel) if channel.queued() > 0 => channel.flush().map(|_| channel.queued()),
                Link::Gateway(channel) if channel.queued() > 0 => channel.flush().map(|_| channel.queued()),
                Link::Worker(_) | Link::Recorder(_) | Link::Gateway(_) => Ok(0),
            };
            if let Err(error) = flushed.and_then(|unsent| watch.unsent(registry, unsent)) {
                broken.push((*child, error));
            }
        }
        broken
    }

    /// Closes a child's channel; whether it was open.
    pub fn close(&mut self, child: Child, sources: &mut Sources) -> bool {
        let Some((link, token, _)) = self.entries.get_mut(&child).and_then(|entry| entry.link.take()) else {
            return false;
        };
        sources.forget(link.fd(), token);
        true
    }

    /// Sends a signal to the process of a child that is there.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&mut self, child: Child, signal: Signal) -> io::Result<()> {
        let Some(entry) = self.entries.get(&child) else { return Ok(()) };
        self.processes.signal(entry.pid, signal)
    }

    /// Reaps a process if it has ended: then its children are no more among these. Their channels must be read to the end before.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn reap(&mut self, pid: u32, sources: &mut Sources) -> io::Result<Option<Reaped>> {
        let Some((exit, usage)) = self.processes.reap(pid, sources)? else { return Ok(None) };
        let mut children = Vec::new();
        for child in self.of_process(pid) {
            self.close(child, sources);
            let Some(entry) = self.entries.remove(&child) else { continue };
            let at = match entry.crash_marker.and_then(|crash_marker| crash_marker.get()) {
                Some(epoch) => Work::Match(Epoch(epoch.get())),
                None => Work::None,
            };
            children.push(Gone { child, generation: entry.generation, at });
        }
        if children.iter().any(|gone| gone.at != Work::None) {
            children.iter_mut().filter(|gone| gone.at == Work::None).for_each(|gone| gone.at = Work::Others);
        }
        Ok(Some(Reaped { children, exit, usage }))
    }

    fn link(&mut self, child: Child) -> Option<&mut Link> {
        self.entries.get_mut(&child)?.link.as_mut().map(|(link, _, _)| link)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Gone {
    pub child: Child,
    pub generation: Generation,
    pub at: Work,
}

#[derive(Debug)]
pub struct Reaped {
    pub children: Vec<Gone>,
    pub exit: Exit,
    pub usage: Usage,
}

fn open(child: Child, channel: OwnedFd, token: Token, registry: &Registry) -> io::Result<(Link, Watch)> {
    let link = match child {
        Child::Worker(_) => Link::Worker(Channel::new(channel, IN_LIMIT, OUT_LIMIT)?),
        Child::RECORDER => Link::Recorder(Channel::new(channel, IN_LIMIT, OUT_LIMIT)?),
        Child::GATEWAY => Link::Gateway(Channel::new(channel, IN_LIMIT, OUT_LIMIT)?),
    };
    let watch = Watch::new(registry, link.fd(), token)?;
    Ok((link, watch))
}

/// Sends a worker the page in which it notes what it is at.
fn give_crash_marker(link: &mut Link) -> io::Result<Option<CrashMarker>> {
    let Link::Worker(channel) = link else { return Ok(None) };
    let (ours, theirs) = CrashMarker::create()?;
    channel
        .send_fd(&ToWorker::CrashMarker, 0, theirs)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Some(ours))
}

impl Link {
    fn fd(&self) -> RawFd {
        match self {
            Link::Worker(channel) => channel.as_raw_fd(),
            Link::Recorder(channel) => channel.as_raw_fd(),
            Link::Gateway(channel) => channel.as_raw_fd(),
        }
    }
}
