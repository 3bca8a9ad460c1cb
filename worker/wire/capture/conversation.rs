//! One connection's two byte streams as what client and server say: handshakes, messages with their topics' names,
//! WebSocket frames.
//!
//! What a direction speaks is seen in its first bytes. What does not decode is reported as it is, with the reason; after
//! missing bytes framing is looked for again where a packet begins, that of a WebSocket by `search`. A direction holds no
//! more than one message of [`MESSAGE_MAX`] bytes, and what `bodies` allows of those that come in pieces.

use super::Summary;
use super::bodies::{BODY_MAX, Bodies};
use super::entry::{ConnectionId, Ending, Entry, Sender, Topic, What};
use super::search::{NOWHERE, Search};
use super::text;
use super::upgrade;
use crate::wire::diffusion::tunnel::{Form, ZAP_PROTOCOL};
use crate::wire::diffusion::{
    AliasTable, ConnectRequest, ConnectResponse, FRAME_MIN, Fragments, Message, MessageType, Part, TopicRef,
    TopicStatus, VERSION,
};
use crate::wire::websocket::{Arrived, Deflate, HttpHead, Limits, MidstreamReader, Passed, Reader, Role};

/// The longest message, and the longest frame, that is put together, bytes.
pub const MESSAGE_MAX: usize = 4 << 20;
const ALIASES: usize = 100_000;

pub trait Entries {
    fn entry(&mut self, entry: &Entry<'_>);
}

/// Where the next entry belongs and goes to; the streams say of which connection and direction it is.
pub(super) struct Place<'o> {
    pub(super) connection: ConnectionId,
    pub(super) at: Option<i64>,
    pub(super) sender: Sender,
    pub(super) bodies: &'o mut Bodies,
    pub(super) summary: &'o mut Summary,
    pub(super) out: &'o mut dyn Entries,
}

impl<'o> Place<'o> {
    pub(super) fn new(
        at: Option<i64>,
        bodies: &'o mut Bodies,
        summary: &'o mut Summary,
        out: &'o mut dyn Entries,
    ) -> Place<'o> {
        Place { connection: ConnectionId(0), at, sender: Sender::Client, bodies, summary, out }
    }

    pub(super) fn emit(&mut self, what: What<'_>) {
        let entry = Entry { connection: self.connection, at: self.at, sender: Some(self.sender), what };
        self.out.entry(&entry);
    }

    pub(super) fn undecoded(&mut self, bytes: &[u8], why: &str) {
        if !bytes.is_empty() {
            self.emit(What::Undecoded { bytes, why });
        }
    }
}

pub(super) struct Conversation {
    client: Direction,
    server: Direction,
    pub(super) shared: Shared,
    sides: Sides,
}

/// Which side is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sides {
    /// Its first segment is in the capture, or its frames have shown it.
    Known,
    /// The one with the higher port, as long as nothing says otherwise.
    Guessed,
    /// The guess was wrong: whoever is called the client is the server.
    Swapped,
}

/// What both directions speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Dpt,
    Web,
}

/// What both directions must know.
pub(super) struct Shared {
    pub(super) aliases: AliasTable,
    deflate: Option<Deflate>,
    /// `None` until a handshake has said it.
    pub(super) form: Option<Form>,
    wire: Option<Wire>,
    /// A later version of the protocol was asked for or answered.
    later: Option<u8>,
}

/// One direction: how far it is, and what of it is no whole message yet.
struct Direction {
    stage: Stage,
    bytes: Vec<u8>,
    web: Option<Box<Reader>>,
    /// Stands before `web` where the beginning of the frames is not in the capture.
    midstream: Option<Box<MidstreamReader>>,
    search: Search,
    /// Texts that were read: the first one may be the handshake.
    texts: u64,
    /// Messages of which only some pieces came.
    parts: Fragments<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first bytes decide.
    Start,
    /// Anywhere in a stream of frames: found where a packet begins with one, of a WebSocket with several.
    Midst,
    Frames,
    Web,
    /// Nothing that is understood.
    Foreign(&'static str),
}

impl Conversation {
    pub(super) fn new(from_start: bool) -> Conversation {
        let stage = if from_start { Stage::Start } else { Stage::Midst };
        let parts = || Fragments::new(BODY_MAX);
        let direction = || Direction {
            stage,
            bytes: Vec::new(),
            web: None,
            midstream: None,
            search: Search::default(),
            texts: 0,
            parts: parts(),
        };
        Conversation {
            client: direction(),
            server: direction(),
            shared: Shared {
                aliases: AliasTable::new(ALIASES),
                deflate: None,
                form: None,
                wire: None,
                later: None,
            },
            sides: if from_start { Sides::Known } else { Sides::Guessed },
        }
    }

    /// One that was recorded behind whatever carried it: its bytes are DPT.
    pub(super) fn recorded(from_start: bool) -> Conversation {
        let mut conversation = Conversation::new(from_start);
        conversation.sides = Sides::Known;
        conversation.shared.wire = Some(Wire::Dpt);
        conversation
    }

    fn direction(&mut self, sender: Sender) -> (&mut Direction, &mut Shared) {
        match sender {
            Sender::Client => (&mut self.client, &mut self.shared),
            Sender::Server => (&mut self.server, &mut self.shared),
        }
    }

    /// Does `act` with the sender as its frames have shown it.
    fn as_shown(&mut self, place: &mut Place<'_>, act: impl FnOnce(&mut Conversation, &mut Place<'_>)) {
        let called = place.sender;
        if self.sides == Sides::Swapped {
            place.sender = called.other();
        }
        act(self, place);
        place.sender = called;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8], place: &mut Place<'_>) {
        self.as_shown(place, |conversation, place| {
            let (direction, shared) = conversation.direction(place.sender);
            if let Some(role) = direction.take(bytes, shared, place) {
                conversation.found(role, place);
            }
        });
    }

    /// The direction in `place` is a WebSocket, for a reader of `role`; then the other one is, too.
    fn found(&mut self, role: Role, place: &mut Place<'_>) {
        let is_first = self.shared.wire.replace(Wire::Web).is_none();
        if is_first && self.sides == Sides::Guessed {
            if role == reader_of(place.sender) {
                self.sides = Sides::Known;
            } else {
                self.sides = Sides::Swapped;
                std::mem::swap(&mut self.client, &mut self.server);
                place.sender = place.sender.other();
                let (connection, at) = (place.connection, place.at);
                place.out.entry(&Entry { connection, at, sender: None, what: What::Swapped });
            }
        }
        let (direction, shared) = self.direction(place.sender);
        direction.open_midstream(role, shared, place);
        if is_first {
            let sender = place.sender;
            place.sender = sender.other();
            let (direction, shared) = self.direction(place.sender);
            if let Some(role) = direction.search.look(shared.known(place.sender), place) {
                direction.open_midstream(role, shared, place);
            }
            place.sender = sender;
        }
    }

    pub(super) fn lost(&mut self, count: u64, place: &mut Place<'_>) {
        self.as_shown(place, |conversation, place| {
            let (direction, _) = conversation.direction(place.sender);
            direction.give_up("the rest of it is not in the capture", place);
            direction.stage = match direction.stage {
                Stage::Start | Stage::Midst | Stage::Frames | Stage::Web => Stage::Midst,
                Stage::Foreign(why) => Stage::Foreign(why),
            };
            place.emit(What::Lost(count));
        });
    }

    pub(super) fn ended(&mut self, ending: Ending, place: &mut Place<'_>) {
        self.as_shown(place, |conversation, place| {
            let (direction, shared) = conversation.direction(place.sender);
            direction.give_up("the stream ends in the midst of it", place);
            text::unfinished(&mut direction.parts, shared, place);
            place.emit(What::Ended(ending));
        });
    }

    /// Reports what is left when the capture says no more of the connection; no packet says when.
    pub(super) fn over(&mut self, place: &mut Place<'_>) {
        let at = place.at.take();
        for sender in [Sender::Client, Sender::Server] {
            place.sender = sender;
            let (direction, shared) = self.direction(sender);
            direction.give_up("the capture ends in the midst of it", place);
            text::unfinished(&mut direction.parts, shared, place);
        }
        place.at = at;
    }
}

impl Shared {
    /// Whose reader what `sender` sends is for, if this is known to be a WebSocket.
    fn known(&self, sender: Sender) -> Option<Role> {
        (self.wire == Some(Wire::Web)).then(|| reader_of(sender))
    }
}

/// Who reads what `sender` sends.
fn reader_of(sender: Sender) -> Role {
    match sender {
        Sender::Client => Role::Server,
        Sender::Server => Role::Client,
    }
}

impl Direction {
    /// Takes the bytes of a packet. For whose reader they are, if they show frames of a WebSocket where nothing was
    /// known; they are held then.
    fn take(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) -> Option<Role> {
        match self.stage {
            Stage::Foreign(why) => place.undecoded(bytes, why),
            Stage::Web if self.midstream.is_some() => self.read_midstream(bytes, shared, place),
            Stage::Web => {
                if let Some(reader) = &mut self.web {
                    reader.feed(bytes);
                }
                // The mask says which end speaks; it stands in the second byte.
                if self.web.is_none() {
                    self.bytes.extend_from_slice(bytes);
                    self.open_web(shared, place.sender);
                }
                self.read_from_start(shared, place);
            }
            Stage::Midst if shared.wire != Some(Wire::Web) && frames_begin(bytes) => {
                self.search.give_up(place);
                self.stage = Stage::Frames;
                self.read_frames(bytes, shared, place);
            }
            Stage::Midst if shared.wire == Some(Wire::Dpt) => place.undecoded(bytes, NOWHERE),
            Stage::Midst => return self.search.take(bytes, shared.known(place.sender), place),
            Stage::Start | Stage::Frames => self.read_frames(bytes, shared, place),
        }
        None
    }

    fn read_frames(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) {
        let mut held = std::mem::take(&mut self.bytes);
        held.extend_from_slice(bytes);
        let used = self.read(&held, shared, place);
        held.drain(..used.min(held.len()));
        self.bytes = held;
        if self.stage == Stage::Web {
            self.open_web(shared, place.sender);
            self.read_from_start(shared, place);
        }
    }

    /// Reads what is whole; how many bytes that was.
    fn read(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let step = match self.stage {
                Stage::Start => self.start(rest, shared, place),
                Stage::Frames => self.frame(rest, shared, place),
                Stage::Foreign(why) if !rest.is_empty() => {
                    place.undecoded(rest, why);
                    Some(rest.len())
                }
                Stage::Foreign(_) | Stage::Midst | Stage::Web => None,
            };
            match step {
                None => return used,
                Some(step) => used += step,
            }
        }
    }

    /// The first bytes: a handshake or the head of an upgrade. How many were used; `None` if more are needed.
    fn start(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) -> Option<usize> {
        match (bytes.first(), place.sender) {
            (None, _) => None,
            (Some(b'#'), sender) => {
                let version = bytes.get(1).copied().filter(|version| *version > VERSION);
                if let Some(version) = version.or(shared.later) {
                    shared.later = Some(version);
                    return self.foreign(LATER);
                }
                let parsed = match sender {
                    Sender::Client => ConnectRequest::parse(bytes)
                        .map(|found| found.map(|(request, used)| (What::ConnectRequest(request), used))),
                    Sender::Server => ConnectResponse::parse(bytes)
                        .map(|found| found.map(|(response, used)| (What::ConnectResponse(response), used))),
                };
                match parsed {
                    Ok(None) => None,
                    Ok(Some((what, used))) => {
                        self.stage = Stage::Frames;
                        shared.wire = Some(Wire::Dpt);
                        place.emit(what);
                        Some(used)
                    }
                    Err(error) => {
                        place.undecoded(bytes, &error.to_string());
                        self.stage = Stage::Foreign("it follows what is no handshake");
                        Some(bytes.len())
                    }
                }
            }
            (Some(_), _) => match upgrade::head(bytes) {
                Ok(None) => None,
                Ok(Some((head, size))) => {
                    self.upgrade(&head, shared, place);
                    Some(size)
                }
                Err(why) => self.foreign(why),
            },
        }
    }

    fn upgrade(&mut self, head: &HttpHead<'_>, shared: &mut Shared, place: &mut Place<'_>) {
        let line = String::from_utf8_lossy(head.first);
        match place.sender {
            Sender::Client => {
                let is_zap = head.has_word("sec-websocket-protocol", ZAP_PROTOCOL);
                shared.form = Some(if is_zap { Form::Zap } else { Form::V4 });
                shared.later = upgrade::version(&line).filter(|version| *version > VERSION).or(shared.later);
                place.emit(What::Upgrade { line: &upgrade::masked(&line) });
            }
            Sender::Server => {
                shared.deflate = Deflate::from_answer(&head.joined("sec-websocket-extensions"));
                place.emit(What::Upgrade { line: &line });
            }
        }
        if head.has_word("upgrade", "websocket") {
            self.stage = Stage::Web;
            shared.wire = Some(Wire::Web);
        } else {
            self.stage = Stage::Foreign("HTTP that leads to no WebSocket");
        }
    }

    /// From here on nothing of this direction is understood.
    fn foreign(&mut self, why: &'static str) -> Option<usize> {
        self.stage = Stage::Foreign(why);
        // What is held is reported as it is in the next round.
        Some(0)
    }

    fn frame(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) -> Option<usize> {
        let length = bytes.first_chunk::<4>().map(|head| u32::from_be_bytes(*head))?;
        let size = length as usize;
        if length < FRAME_MIN || size > MESSAGE_MAX {
            place.undecoded(
                bytes,
                &format!("a message that claims {length} bytes: from here on nothing is certain"),
            );
            self.stage = Stage::Midst;
            return Some(bytes.len());
        }
        let frame = bytes.get(4..size)?;
        if let [kind, encoding, content @ ..] = frame {
            text::message(&Message::new(*kind, *encoding, content), &mut self.parts, shared, place);
        }
        Some(size)
    }

    /// Captured clients may not mask, so the role is read from the first frame instead of being demanded.
    fn open_web(&mut self, shared: &Shared, sender: Sender) {
        const MASKED: u8 = 0x80;
        let Some(second) = self.bytes.get(1) else { return };
        let role = if second & MASKED == 0 { Role::Client } else { Role::Server };
        let mut reader = Reader::new(role, limits());
        let expected = reader_of(sender);
        let swapped = |deflate: Deflate| Deflate {
            server_context: deflate.client_context,
            client_context: deflate.server_context,
            server_window: deflate.client_window,
            client_window: deflate.server_window,
        };
        reader
            .agreed(shared.deflate.map(|deflate| if role == expected { deflate } else { swapped(deflate) }));
        reader.feed(&self.bytes);
        self.bytes.clear();
        self.web = Some(Box::new(reader));
    }

    fn read_from_start(&mut self, shared: &mut Shared, place: &mut Place<'_>) {
        let Some(fault) = self.read_web(shared, place) else { return };
        self.give_up(&fault, place);
        self.stage = Stage::Foreign("it follows a broken frame");
    }

    /// Reads what is whole; why no more can be read, if so.
    fn read_web(&mut self, shared: &mut Shared, place: &mut Place<'_>) -> Option<String> {
        let reader = self.web.as_mut()?;
        loop {
            let arrived = match reader.advance() {
                Ok(None) => return None,
                Ok(Some(arrived)) => arrived,
                Err(error) => return Some(error.to_string()),
            };
            let payload = reader.payload();
            match arrived {
                Arrived::Text => {
                    self.texts += 1;
                    text::text(payload, self.texts, &mut self.parts, shared, place);
                }
                Arrived::Binary => binary(payload, shared, place),
                Arrived::Ping => place.emit(What::Ping(payload)),
                Arrived::Pong => place.emit(What::Pong(payload)),
                Arrived::Close(code) => {
                    place.emit(What::Close { code: code.map(|code| code.0), reason: payload });
                }
            }
        }
    }

    /// What is held begins with a frame.
    fn open_midstream(&mut self, role: Role, shared: &mut Shared, place: &mut Place<'_>) {
        self.stage = Stage::Web;
        // The handshake is over.
        self.texts = self.texts.max(1);
        self.web = Some(Box::new(Reader::new(role, limits())));
        self.midstream = Some(Box::new(MidstreamReader::new(role, limits(), shared.deflate)));
        let now = place.at;
        for (at, bytes) in self.search.take_held() {
            place.at = at;
            self.read_midstream(&bytes, shared, place);
        }
        place.at = now;
    }

    fn read_midstream(&mut self, bytes: &[u8], shared: &mut Shared, place: &mut Place<'_>) {
        let Some(mut midstream) = self.midstream.take() else { return place.undecoded(bytes, NOWHERE) };
        midstream.feed(bytes);
        let role = midstream.role();
        let fault = loop {
            let passed = match midstream.advance() {
                Ok(None) => break None,
                Ok(Some(passed)) => passed,
                Err(error) => break Some(error.to_string()),
            };
            match passed {
                Passed::Frame(frame) => self.read_frame(frame, role, shared, place),
                Passed::Text(text) => {
                    self.texts += 1;
                    text::text(text, self.texts, &mut self.parts, shared, place);
                }
                Passed::Binary(bytes) => binary(bytes, shared, place),
                Passed::Compressed(bytes) => place.undecoded(bytes, COMPRESSED),
                Passed::Rest(bytes) => place.undecoded(bytes, "the end of a message that began earlier"),
            }
        };
        self.midstream = Some(midstream);
        if let Some(fault) = fault {
            self.give_up(&fault, place);
            self.stage = Stage::Midst;
        }
    }

    /// A frame on its own: where the next one begins is known, whatever this one says.
    fn read_frame(&mut self, frame: &[u8], role: Role, shared: &mut Shared, place: &mut Place<'_>) {
        let Some(reader) = &mut self.web else { return };
        reader.feed(frame);
        if let Some(fault) = self.read_web(shared, place)
            && let Some(reader) = self.web.replace(Box::new(Reader::new(role, limits())))
        {
            place.undecoded(reader.held(), &fault);
            place.undecoded(frame, &fault);
        }
    }

    /// What is held belongs to no message any more: the pieces that came of one, and what is behind them.
    fn give_up(&mut self, why: &str, place: &mut Place<'_>) {
        let held = std::mem::take(&mut self.bytes);
        place.undecoded(&held, why);
        if let Some(reader) = self.web.take() {
            place.undecoded(reader.held(), why);
            place.undecoded(reader.unread(), why);
        }
        if let Some(midstream) = self.midstream.take() {
            place.undecoded(midstream.held(), why);
            place.undecoded(midstream.unread(), why);
        }
        self.search.give_up(place);
    }
}

fn limits() -> Limits {
    Limits { frame: MESSAGE_MAX, inflated: 4 * MESSAGE_MAX, ..Limits::default() }
}

fn binary(payload: &[u8], shared: &Shared, place: &mut Place<'_>) {
    let why = if shared.later.is_some() { LATER } else { "a binary frame, which version 4 has not" };
    place.undecoded(payload, why);
}

const LATER: &str = "a later version of the protocol than 4";
const COMPRESSED: &str = "it is compressed and refers to earlier bytes, which are not in the capture";

/// Whether a frame may begin here: its length and type are possible.
pub(super) fn frames_begin(bytes: &[u8]) -> bool {
    let (Some(length), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4)) else { return false };
    let length = u32::from_be_bytes(*length);
    let (kind, _) = MessageType::from_type_byte(*kind);
    length >= FRAME_MIN && length as usize <= MESSAGE_MAX && !matches!(kind, MessageType::Unknown(_))
}

/// What a message says of its topic; loads of the server's teach aliases on the way.
pub(super) fn topic<'a>(
    message: &Message<'a>,
    sender: Sender,
    aliases: &'a mut AliasTable,
) -> Option<Topic<'a>> {
    let reference = message.topic()?;
    if sender == Sender::Server
        && let TopicRef::Named { name, alias: Some(alias) } = reference
        && message.part == Part::Whole
    {
        // A table that is full leaves the alias unknown, and that shows.
        let _ = aliases.learn(name, alias);
    }
    if let (Some(TopicStatus::Removed), TopicRef::Named { name, .. }) = (message.status(), reference) {
        aliases.forget_name(name);
    }
    Some(Topic::of(reference, aliases))
}
