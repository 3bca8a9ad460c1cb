//! The channels to the children: data channels made, messages sent and read, ends of channels and processes noticed.

use super::{CutOff, Daemon, ENDS_WITHIN, MESSAGES_PER_TURN};
use crate::pool::{Child, Exit, Input, Usage, Work};
use crate::supervise::children::{ChildState, Gone, Message, Reaped};
use crate::supervise::spawn;
use std::time::Instant;
use touchline_common::failpoint::{self, Point};
use touchline_common::ipc::messages::gateway::{FromGateway, ToGateway};
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{ChannelError, ReadOutcome};
use touchline_common::model::{Generation, SlotId};

impl Daemon {
    /// One end of a new pair to the recorder, the other to the worker; our copies are closed once they are sent.
    pub(super) fn connect_data(&mut self, slot: SlotId, generation: Generation) {
        let child = Child::Worker(slot);
        if !self.is_current(child, generation) {
            return;
        }
        let (to_recorder, to_worker) = match spawn::channel_pair() {
            Ok(pair) => pair,
            Err(error) => {
                // The pool gives the channel out anew when it is not confirmed in time.
                log::warn!(worker = slot.0, error:% = error; "worker.data_failed");
                return;
            }
        };
        let attach = ToRecorder::Attach { slot, generation };
        let sent = self.children.send_recorder(&attach, 0, Some(to_recorder));
        self.sent(Child::RECORDER, sent);
        let sent = self.children.send_worker(child, &ToWorker::Data, 0, Some(to_worker));
        self.sent(child, sent);
        failpoint::hit(Point::AttachSent);
    }

    /// The same of the document feed, between the recorder and the gateway.
    pub(super) fn connect_feed(&mut self) {
        let (to_recorder, to_gateway) = match spawn::channel_pair() {
            Ok(pair) => pair,
            Err(error) => {
                log::warn!(error:% = error; "gateway.feed_failed");
                // Without documents it is of no use: the next one gets a feed.
                return self.drop_channel(Child::GATEWAY, error.to_string());
            }
        };
        let sent = self.children.send_recorder(&ToRecorder::Reader, 0, Some(to_recorder));
        self.sent(Child::RECORDER, sent);
        let sent = self.children.send_gateway(&ToGateway::Feed, Some(to_gateway));
        self.sent(Child::GATEWAY, sent);
    }

    pub(super) fn send_gateway(&mut self, message: &ToGateway) {
        let sent = self.children.send_gateway(message, None);
        self.sent(Child::GATEWAY, sent);
    }

    pub(super) fn send_worker(&mut self, slot: SlotId, message: &ToWorker, request: u32) {
        let child = Child::Worker(slot);
        let sent = self.children.send_worker(child, message, request, None);
        self.sent(child, sent);
    }

    pub(super) fn send_recorder(&mut self, message: &ToRecorder, request: u32) {
        let sent = self.children.send_recorder(message, request, None);
        self.sent(Child::RECORDER, sent);
    }

    fn sent(&mut self, child: Child, sent: Result<(), ChannelError>) {
        if let Err(error) = sent {
            self.drop_channel(child, error.to_string());
        }
    }

    /// Closes a channel that cannot go on; the pool decides what becomes of the child.
    pub(super) fn drop_channel(&mut self, child: Child, why: String) {
        let Some(generation) = self.children.generation(child) else { return };
        if !self.children.close(child, &mut self.sources) {
            return;
        }
        match self.children.take_left(child) {
            Some(exit) => self.gone(Gone { child, generation, at: Work::None }, exit, None),
            None => {
                self.cut_off.insert(child, CutOff { generation, why, until: Instant::now() + ENDS_WITHIN });
            }
        }
    }

    /// Processes that do not end although their channel did.
    pub(super) fn give_up_on_cut_off(&mut self) {
        let now = Instant::now();
        let is_due = |(_, cut_off): &(&Child, &CutOff)| cut_off.until <= now;
        let due: Vec<Child> = self.cut_off.iter().filter(is_due).map(|(child, _)| *child).collect();
        for child in due {
            if let Some(CutOff { generation, why, .. }) = self.cut_off.remove(&child) {
                self.inputs.push_back(Input::ChannelClosed { child, generation, why });
            }
        }
    }

    fn gone(&mut self, gone: Gone, exit: Exit, usage: Option<Usage>) {
        let Gone { child, generation, at } = gone;
        self.cut_off.remove(&child);
        self.unread.remove(&child);
        self.forget_in_gathers(child);
        self.inputs.push_back(Input::Exited { child, generation, exit, usage, at });
    }

    pub(super) fn read_child(&mut self, child: Child) {
        match self.children.read(child) {
            Ok(ReadOutcome::Drained) => {
                self.take_messages(child, MESSAGES_PER_TURN);
            }
            Ok(ReadOutcome::More) => {
                self.take_messages(child, MESSAGES_PER_TURN);
                self.unread.insert(child);
            }
            Ok(ReadOutcome::Closed) => {
                self.take_messages(child, usize::MAX);
                self.drop_channel(child, "it closed its channel".to_owned());
            }
            Err(error) => self.break_channel(child, &error),
        }
    }

    /// A bad frame. One of another version is the first message of a child of that version: the pool decides by the version.
    fn break_channel(&mut self, child: Child, error: &ChannelError) {
        if let (Some(hello), Some(generation)) =
            (self.children.foreign_hello(child, error), self.children.generation(child))
        {
            self.inputs.push_back(match child {
                Child::Worker(slot) => Input::Worker { slot, generation, message: FromWorker::Hello(hello) },
                Child::RECORDER => Input::Recorder { generation, message: FromRecorder::Hello(hello) },
                Child::GATEWAY => Input::Gateway { generation, message: FromGateway::Hello(hello) },
            });
        }
        self.drop_channel(child, error.to_string());
    }

    fn take_messages(&mut self, child: Child, most: usize) {
        let Some(generation) = self.children.generation(child) else { return };
        for _ in 0..most {
            match self.children.next(child) {
                Ok(Some(message)) => self.on_message(child, generation, message),
                Ok(None) => return,
                Err(error) => return self.break_channel(child, &error),
            }
        }
        // The rest is in our buffer, where no event will announce it.
        self.unread.insert(child);
    }

    fn on_message(&mut self, child: Child, generation: Generation, message: Message) {
        match (message, child) {
            // Those without a number are the pool's own question.
            (Message::Worker(FromWorker::Details { matches, more }, request @ 1..), Child::Worker(slot)) => {
                self.gather_details(request, slot, matches, more);
            }
            (Message::Recorder(FromRecorder::Documents { documents, more }, request), _) => {
                self.gather_documents(request, documents, more);
            }
            (Message::Worker(FromWorker::Left { code }, _), _) => {
                self.children.set_state(child, ChildState::Left(code));
            }
            (Message::Worker(message, _), Child::Worker(slot)) => {
                if let FromWorker::Load(report) = &message {
                    self.children.note_busy(child, report.busy);
                }
                self.inputs.push_back(Input::Worker { slot, generation, message });
            }
            (Message::Recorder(message, _), _) => {
                if matches!(message, FromRecorder::Switched { .. }) {
                    failpoint::hit(Point::MoveSwitched);
                }
                self.inputs.push_back(Input::Recorder { generation, message });
            }
            (Message::Gateway(message), _) => self.inputs.push_back(Input::Gateway { generation, message }),
            (Message::Worker(..), Child::Service(_)) => {}
        }
    }

    /// What its children sent before the end of a process counts: their channels are read to the end first.
    pub(super) fn reap(&mut self, pid: u32) {
        for child in self.children.of_process(pid) {
            self.read_to_the_end(child);
        }
        match self.children.reap(pid, &mut self.sources) {
            Ok(Some(Reaped { children, exit, usage })) => {
                failpoint::hit(Point::ChildReaped);
                for gone in children {
                    self.gone(gone, exit, Some(usage));
                }
            }
            Ok(None) => {}
            Err(error) => log::error!(pid = pid, error:% = error; "child.reap_failed"),
        }
    }

    fn read_to_the_end(&mut self, child: Child) {
        loop {
            match self.children.read(child) {
                Ok(ReadOutcome::More) => self.take_messages(child, usize::MAX),
                Ok(ReadOutcome::Drained | ReadOutcome::Closed) => {
                    return self.take_messages(child, usize::MAX);
                }
                Err(_) => return,
            }
        }
    }
}
