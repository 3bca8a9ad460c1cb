//! A tree back as the body of a load, for records and replays.

use super::forest::Forest;
use super::mapping::Class;
use super::store::NIL;

impl Forest {
    /// The body of a load from which the same tree comes; of an untouched load byte for byte the body that came.
    /// `None` if the topic is not held.
    pub fn encode(&self, topic: &str) -> Option<Vec<u8>> {
        let tree = self.store.tree(*self.topics.get(topic.as_bytes())?)?;
        let mut out = Vec::with_capacity(tree.bytes + 16);
        out.extend_from_slice(b"F|");
        let mut id = tree.root;
        while id != NIL {
            if self.store.node(id).class != Class::Root {
                out.extend_from_slice(self.store.text(id));
                out.push(b'|');
            }
            id = self.store.after(tree.root, id);
        }
        Some(out)
    }
}
