//! The processes that the coordinator has, and the channels to them.
//!
//! A child stays here until it is reaped, even when its channel is closed: its pid must not be forgotten before.

use super::spawn::{self, ChildKind, SpawnError};
use super::tokens::Tokens;
use crate::pool::{Child, Exit, Signal, Usage};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{Channel, ChannelError, FrameError, PROTO, ReadOutcome};
use touchline_common::model::Generation;
use touchline_common::sys::pidfd::PidFd;
use touchline_worker::watch::Watch;

/// The longest message from a child, bytes.
const IN_LIMIT: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for a child: the whole of its commands after a start, with room.
const OUT_LIMIT: usize = 64 * 1024 * 1024;

/// The first frame's second byte, in every version.
const FRAME_FAMILY: u8 = 0x74;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Signals to us.
    Signals,
    /// The operators' socket.
    Listener,
    /// A child's channel.
    Channel(Child),
    /// A child's end.
    Process(Child),
    /// An operator, by its number.
    Client(u32),
}

/// A child's channel, by what it carries.
#[derive(Debug)]
enum Link {
    Worker(Channel<FromWorker, ToWorker>),
    Recorder(Channel<FromRecorder, ToRecorder>),
}

#[derive(Debug)]
struct Process {
    generation: Generation,
    pid: u32,
    pidfd: PidFd,
    pid_token: Token,
    link: Option<(Link, Token, Watch)>,
    standing: Standing,
}

/// Whether a child may be told anything: until it has its welcome it understands nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    New,
    Welcomed,
}

/// A message of a child.
#[derive(Debug)]
pub enum Said {
    /// Of a worker, with the request's id.
    Worker(FromWorker, u32),
    /// Of the recorder, with the request's id.
    Recorder(FromRecorder, u32),
}

/// Every child that is not reaped.
#[derive(Debug, Default)]
pub struct Children {
    processes: BTreeMap<Child, Process>,
}

impl Children {
    /// Starts a child and watches it.
    ///
    /// # Errors
    /// [`SpawnError`]: there is no such child then.
    pub fn spawn(
        &mut self,
        child: Child,
        generation: Generation,
        registry: &Registry,
        tokens: &mut Tokens<Source>,
    ) -> Result<u32, SpawnError> {
        let kind = match child {
            Child::Worker(slot) => ChildKind::Worker { slot: slot.0 },
            Child::Recorder => ChildKind::Recorder,
        };
        let spawn::Child { pid, pidfd, channel } = spawn::spawn(kind)?;
        let pid_token = tokens.insert(Source::Process(child));
        let channel_token = tokens.insert(Source::Channel(child));
        match watch(child, &pidfd, pid_token, channel, channel_token, registry) {
            Ok((link, watch)) => {
                let link = Some((link, channel_token, watch));
                let standing = Standing::New;
                let process = Process { generation, pid, pidfd, pid_token, link, standing };
                self.processes.insert(child, process);
                Ok(pid)
            }
            Err(source) => {
                tokens.remove(pid_token);
                tokens.remove(channel_token);
                spawn::end(&pidfd);
                Err(SpawnError { operation: "watching a child", source })
            }
        }
    }

    /// The child's generation, if it is there.
    pub fn generation(&self, child: Child) -> Option<Generation> {
        self.processes.get(&child).map(|process| process.generation)
    }

    /// The child's pid, if it is there.
    pub fn pid(&self, child: Child) -> Option<u32> {
        self.processes.get(&child).map(|process| process.pid)
    }

    /// The child has its welcome.
    pub fn welcomed(&mut self, child: Child) {
        if let Some(process) = self.processes.get_mut(&child) {
            process.standing = Standing::Welcomed;
        }
    }

    /// What a child that was not welcomed would have said, if `error` is that it speaks another version.
    pub fn foreign_hello(&self, child: Child, error: &ChannelError) -> Option<Hello> {
        let process = self.processes.get(&child).filter(|process| process.standing == Standing::New)?;
        let ChannelError::Frame(FrameError::Magic { header: [version, family, ..] }) = error else {
            return None;
        };
        let (proto, ours) = (u16::from(*version), PROTO.to_le_bytes());
        // The low byte is the version, the high one the mark that all versions share.
        let kin = *family == FRAME_FAMILY && *version != ours[0];
        kin.then(|| Hello { proto_min: proto, proto_max: proto, build: String::new(), pid: process.pid })
    }

    /// The children that understand us: their channel is open and they have their welcome.
    pub fn listening(&self) -> impl Iterator<Item = Child> + '_ {
        let listens = |process: &Process| process.link.is_some() && process.standing == Standing::Welcomed;
        self.processes.iter().filter(move |(_, process)| listens(process)).map(|(child, _)| *child)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// The poll saw that a child closed its side of the channel.
    pub fn peer_closed(&mut self, child: Child) {
        match self.link(child) {
            Some(Link::Worker(channel)) => channel.peer_closed(),
            Some(Link::Recorder(channel)) => channel.peer_closed(),
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
            None => Ok(ReadOutcome::Drained),
        }
    }

    /// A child's next message.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn next(&mut self, child: Child) -> Result<Option<Said>, ChannelError> {
        Ok(match self.link(child) {
            Some(Link::Worker(channel)) => {
                channel.next()?.map(|(said, request, _)| Said::Worker(said, request))
            }
            Some(Link::Recorder(channel)) => {
                channel.next()?.map(|(said, request, _)| Said::Recorder(said, request))
            }
            None => None,
        })
    }

    /// Queues a message to a worker; a worker whose channel is closed gets nothing.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn tell_worker(
        &mut self,
        child: Child,
        message: &ToWorker,
        request: u32,
        fd: Option<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match (self.link(child), fd) {
            (Some(Link::Worker(channel)), Some(fd)) => channel.send_fd(message, request, fd),
            (Some(Link::Worker(channel)), None) => channel.send(message, request),
            (Some(Link::Recorder(_)) | None, _) => Ok(()),
        }
    }

    /// Queues a message to the recorder; `false` if there is none to take it.
    ///
    /// # Errors
    /// [`ChannelError`]: close it.
    pub fn tell_recorder(
        &mut self,
        message: &ToRecorder,
        request: u32,
        fd: Option<OwnedFd>,
    ) -> Result<bool, ChannelError> {
        match (self.link(Child::Recorder), fd) {
            (Some(Link::Recorder(channel)), Some(fd)) => channel.send_fd(message, request, fd).map(|()| true),
            (Some(Link::Recorder(channel)), None) => channel.send(message, request).map(|()| true),
            (Some(Link::Worker(_)) | None, _) => Ok(false),
        }
    }

    /// Writes what is queued for every child; those that cannot be written any more are named with the reason.
    pub fn flush(&mut self, registry: &Registry) -> Vec<(Child, io::Error)> {
        let mut broken = Vec::new();
        for (child, process) in &mut self.processes {
            let Some((link, _, watch)) = &mut process.link else { continue };
            let flushed = match link {
                Link::Worker(channel) if channel.queued() > 0 => channel.flush().map(|_| channel.queued()),
                Link::Recorder(channel) if channel.queued() > 0 => channel.flush().map(|_| channel.queued()),
                Link::Worker(_) | Link::Recorder(_) => Ok(0),
            };
            if let Err(error) = flushed.and_then(|unsent| watch.unsent(registry, unsent)) {
                broken.push((*child, error));
            }
        }
        broken
    }

    /// Closes a child's channel; whether it was open.
    pub fn close(&mut self, child: Child, registry: &Registry, tokens: &mut Tokens<Source>) -> bool {
        let Some((link, token, _)) = self.processes.get_mut(&child).and_then(|process| process.link.take())
        else {
            return false;
        };
        // The descriptor is closed next, which takes it out of the poll by itself.
        let _ = registry.deregister(&mut SourceFd(&link.fd()));
        tokens.remove(token);
        true
    }

    /// Sends a signal to a child that is there.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&self, child: Child, signal: Signal) -> io::Result<()> {
        use nix::sys::signal::Signal as Kernel;
        let Some(process) = self.processes.get(&child) else { return Ok(()) };
        process.pidfd.signal(match signal {
            Signal::Term => Kernel::SIGTERM,
            Signal::Abort => Kernel::SIGABRT,
            Signal::Kill => Kernel::SIGKILL,
        })
    }

    /// Reaps a child if it has ended: then it is no more among these. Its channel must be read to the end and closed before.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn reap(
        &mut self,
        child: Child,
        registry: &Registry,
        tokens: &mut Tokens<Source>,
    ) -> io::Result<Option<(Exit, Usage)>> {
        let Some(process) = self.processes.get(&child) else { return Ok(None) };
        let Some(ended) = spawn::reap(&process.pidfd)? else { return Ok(None) };
        self.close(child, registry, tokens);
        if let Some(process) = self.processes.remove(&child) {
            let _ = registry.deregister(&mut SourceFd(&process.pidfd.as_raw_fd()));
            tokens.remove(process.pid_token);
        }
        Ok(Some(ended))
    }

    fn link(&mut self, child: Child) -> Option<&mut Link> {
        self.processes.get_mut(&child)?.link.as_mut().map(|(link, _, _)| link)
    }
}

/// Puts both of a child's descriptors into the poll. What one error leaves there goes with the descriptor itself.
fn watch(
    child: Child,
    pidfd: &PidFd,
    pid_token: Token,
    channel: OwnedFd,
    channel_token: Token,
    registry: &Registry,
) -> io::Result<(Link, Watch)> {
    let link = match child {
        Child::Worker(_) => Link::Worker(Channel::new(channel, IN_LIMIT, OUT_LIMIT)?),
        Child::Recorder => Link::Recorder(Channel::new(channel, IN_LIMIT, OUT_LIMIT)?),
    };
    registry.register(&mut SourceFd(&pidfd.as_raw_fd()), pid_token, Interest::READABLE)?;
    let watch = Watch::new(registry, link.fd(), channel_token)?;
    Ok((link, watch))
}

impl Link {
    fn fd(&self) -> RawFd {
        match self {
            Link::Worker(channel) => channel.as_raw_fd(),
            Link::Recorder(channel) => channel.as_raw_fd(),
        }
    }
}
