//! Trie nodes: their decoded form and their RLP. No store and no hashing here.

use super::{MAX_KEY_NIBBLES, cache::Hint};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::Nibbles;
use std::sync::Arc;

/// A node at least this long is referred to by its hash, a shorter one is written into its parent.
pub(super) const HASHED_FROM_BYTES: usize = 32;

/// Children of a branch.
pub(super) const WIDTH: usize = 16;

/// Flags of the hex-prefix encoding, in the high nibble of the first byte.
const FLAG_ODD: u8 = 0x10;
const FLAG_LEAF: u8 = 0x20;

/// A decoded trie node. Extension paths are never empty, so every step down consumes at least one nibble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Leaf { path: Nibbles, value: Bytes },
    Extension { path: Nibbles, child: Link },
    Branch(Box<Branch>),
}

/// A node with up to sixteen children, and a value (empty: none) for the key that ends here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Branch {
    pub children: [Link; WIDTH],
    pub value: Bytes,
}

/// How a node refers to its child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    #[default]
    Empty,
    Hash(B256, Hint),
    Inline(Arc<Node>),
}

impl Branch {
    /// The child for a nibble; out of range is no child.
    pub fn child(&self, nibble: u8) -> &Link {
        self.children.get(usize::from(nibble)).unwrap_or(&Link::Empty)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        list_header(self.payload_length(), out);
        for child in &self.children {
            child.encode(out);
        }
        self.value.encode(out);
    }

    fn payload_length(&self) -> usize {
        self.children.iter().map(Link::rlp_length).sum::<usize>() + self.value.length()
    }
}

impl Node {
    /// Decodes a node; `None` for anything that is not one. Inline children nest, but each is shorter than
    /// [`HASHED_FROM_BYTES`], which bounds the recursion.
    pub fn decode(rlp: &Bytes) -> Option<Self> {
        Self::decode_item(rlp, rlp.as_ref())
    }

    /// `item` is a part of `buffer`; leaf values share the buffer instead of being copied.
    fn decode_item(buffer: &Bytes, item: &[u8]) -> Option<Self> {
        let mut payload = whole(item, true)?;
        let mut items = [&[][..]; WIDTH + 1];
        let mut count = 0;
        while !payload.is_empty() {
            *items.get_mut(count)? = next_item(&mut payload)?;
            count += 1;
        }
        match (count, items) {
            (2, [first, second, ..]) => {
                let (path, leaf) = decode_path(whole(first, false)?)?;
                Self::decode_short(buffer, path, leaf, second)
            }
            (17, [children @ .., value]) => {
                let mut branch = Branch { value: string(buffer, value)?, ..Branch::default() };
                for (link, item) in branch.children.iter_mut().zip(children) {
                    *link = Link::decode(buffer, item)?;
                }
                Some(Self::Branch(Box::new(branch)))
            }
            _ => None,
        }
    }

    fn decode_short(buffer: &Bytes, path: Nibbles, leaf: bool, item: &[u8]) -> Option<Self> {
        if leaf {
            let value = string(buffer, item)?;
            return (!value.is_empty()).then_some(Self::Leaf { path, value });
        }
        let child = Link::decode(buffer, item)?;
        (child != Link::Empty && !path.is_empty()).then_some(Self::Extension { path, child })
    }

    /// Appends the node's RLP to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leaf { path, value } => {
                let path = EncodedPath::new(path, true);
                list_header(path.rlp_length() + value.length(), out);
                path.encode(out);
                value.encode(out);
            }
            Self::Extension { path, child } => {
                let path = EncodedPath::new(path, false);
                list_header(path.rlp_length() + child.rlp_length(), out);
                path.encode(out);
                child.encode(out);
            }
            Self::Branch(branch) => branch.encode(out),
        }
    }

    /// Length of the node's RLP.
    pub fn rlp_length(&self) -> usize {
        let payload = match self {
            Self::Leaf { path, value } => {
                EncodedPath::new(path, true).rlp_length() + value.length()
            }
            Self::Extension { path, child } => {
                EncodedPath::new(path, false).rlp_length() + child.rlp_length()
            }
            Self::Branch(branch) => branch.payload_length(),
        };
        payload + alloy_rlp::length_of_length(payload)
    }
}

impl Link {
    fn decode(buffer: &Bytes, item: &[u8]) -> Option<Self> {
        match *item {
            [EMPTY_STRING_CODE] => Some(Self::Empty),
            [0xa0, ref hash @ ..] => Some(Self::Hash(B256::try_from(hash).ok()?, Hint::UNKNOWN)),
            [first, ..] if first >= EMPTY_LIST_CODE && item.len() < HASHED_FROM_BYTES => {
                Some(Self::Inline(Arc::new(Node::decode_item(buffer, item)?)))
            }
            _ => None,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.push(EMPTY_STRING_CODE),
            Self::Hash(hash, _) => {
                out.push(0xa0);
                out.extend_from_slice(hash.as_slice());
            }
            Self::Inline(node) => node.encode(out),
        }
    }

    fn rlp_length(&self) -> usize {
        match self {
            Self::Empty => 1,
            Self::Hash(..) => 1 + B256::len_bytes(),
            Self::Inline(node) => node.rlp_length(),
        }
    }
}

/// A node where it lies: branches are kept apart from the others.
#[derive(Clone, Copy)]
pub(super) enum NodeRef<'a> {
    Branch(&'a Branch),
    /// Anything, in its general form.
    Other(&'a Node),
}

impl NodeRef<'_> {
    pub fn to_node(self) -> Node {
        match self {
            Self::Branch(branch) => Node::Branch(Box::new(branch.clone())),
            Self::Other(node) => node.clone(),
        }
    }

    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Branch(branch) => branch.encode(out),
            Self::Other(node) => node.encode(out),
        }
    }
}

/// Where a path leads from a node.
pub(super) enum Step<'a> {
    /// It ends here, with or without a value.
    Value(Option<&'a Bytes>),
    /// To a node that is hashed separately.
    Descend(B256, Hint),
}

/// Follows `rest` through a node and those written into it, taking off what it consumes.
pub(super) fn step<'a>(mut node: NodeRef<'a>, rest: &mut Nibbles) -> Step<'a> {
    loop {
        let link = match node {
            NodeRef::Other(Node::Branch(branch)) => {
                node = NodeRef::Branch(branch);
                continue;
            }
            NodeRef::Branch(branch) => {
                let Some(nibble) = rest.first() else {
                    return Step::Value(Some(&branch.value).filter(|value| !value.is_empty()));
                };
                *rest = tail(rest, 1);
                branch.child(nibble)
            }
            NodeRef::Other(Node::Leaf { path, value }) => {
                return Step::Value((path == rest).then_some(value));
            }
            NodeRef::Other(Node::Extension { path, child }) => {
                if !rest.starts_with(path) {
                    return Step::Value(None);
                }
                *rest = tail(rest, path.len());
                child
            }
        };
        match link {
            Link::Empty => return Step::Value(None),
            Link::Hash(hash, hint) => return Step::Descend(*hash, *hint),
            Link::Inline(inline) => node = NodeRef::Other(inline),
        }
    }
}

/// A path in hex-prefix encoding: flags, then the nibbles, two to a byte.
struct EncodedPath {
    bytes: [u8; 1 + MAX_KEY_NIBBLES / 2],
    len: usize,
}

impl EncodedPath {
    fn new(path: &Nibbles, leaf: bool) -> Self {
        let mut bytes = [0; 1 + MAX_KEY_NIBBLES / 2];
        let odd = path.len() % 2;
        let mut nibbles = path.iter();
        bytes[0] = if leaf { FLAG_LEAF } else { 0 };
        if odd == 1 {
            bytes[0] |= FLAG_ODD | nibbles.next().unwrap_or_default();
        }
        for byte in &mut bytes[1..] {
            let (Some(high), Some(low)) = (nibbles.next(), nibbles.next()) else {
                break;
            };
            *byte = high << 4 | low;
        }
        Self { bytes, len: 1 + path.len() / 2 }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    fn rlp_length(&self) -> usize {
        self.as_slice().length()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

/// Nibbles and whether they end in a leaf.
fn decode_path(bytes: &[u8]) -> Option<(Nibbles, bool)> {
    let (&first, rest) = bytes.split_first()?;
    if first >= FLAG_LEAF + FLAG_ODD + FLAG_ODD || rest.len() > MAX_KEY_NIBBLES / 2 {
        return None;
    }
    let rest = Nibbles::unpack(rest);
    let leaf = first & FLAG_LEAF != 0;
    if first & FLAG_ODD != 0 {
        return Some((prefixed(first & 0x0f, &rest)?, leaf));
    }
    (first & 0x0f == 0).then_some((rest, leaf))
}

/// `nibble` followed by `path`; `None` if that is longer than any key.
pub(super) fn prefixed(nibble: u8, path: &Nibbles) -> Option<Nibbles> {
    joined(&Nibbles::from_nibbles_unchecked([nibble & 0x0f]), path)
}

/// `head` followed by `path`; `None` if that is longer than any key.
pub(super) fn joined(head: &Nibbles, path: &Nibbles) -> Option<Nibbles> {
    (head.len() + path.len() <= MAX_KEY_NIBBLES).then(|| head.join(path))
}

/// What follows the first `from` nibbles; empty if there is nothing.
pub(super) fn tail(path: &Nibbles, from: usize) -> Nibbles {
    path.slice(from.min(path.len())..)
}

/// The first `to` nibbles, or all of them if there are fewer.
pub(super) fn head(path: &Nibbles, to: usize) -> Nibbles {
    path.slice(..to.min(path.len()))
}

/// Splits the next RLP item, header included, off `buffer`.
fn next_item<'a>(buffer: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *buffer;
    let header = Header::decode(&mut rest).ok()?;
    let end = (buffer.len() - rest.len()).checked_add(header.payload_length)?;
    let (item, rest) = buffer.split_at_checked(end)?;
    *buffer = rest;
    Some(item)
}

/// The payload of an item that must be a list or a string, and nothing after it.
fn whole(item: &[u8], list: bool) -> Option<&[u8]> {
    let mut rest = item;
    let header = Header::decode(&mut rest).ok()?;
    (header.list == list && header.payload_length == rest.len()).then_some(rest)
}

/// A string item as a view into `buffer`, which contains it.
fn string(buffer: &Bytes, item: &[u8]) -> Option<Bytes> {
    Some(buffer.slice_ref(whole(item, false)?))
}

fn list_header(payload_length: usize, out: &mut Vec<u8>) {
    Header { list: true, payload_length }.encode(out);
}
