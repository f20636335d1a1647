//! Roots of ordered lists, as blocks have of transactions and receipts: of the trie that maps `rlp(index)` to each
//! item. What is costly about them can be done in parts, side by side. Not here: which parts, and by whom.

use alloy_primitives::B256;
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieMask,
    nodes::{BranchNodeRef, LeafNodeRef, RlpNode},
};

/// Items whose indices differ in the last nibble only: they are the leaves of one branch. Not so the first ones,
/// since `rlp(0)` is not a byte like those of 1 to 15.
const GROUP: usize = 16;

/// Fewer items are not worth a core of their own.
const PART_MIN: usize = 512;

/// Consecutive items of a list, hashed as far as that is possible without the others.
#[derive(Debug)]
pub struct Part(Vec<(Nibbles, Piece)>);

#[derive(Debug)]
enum Piece {
    Leaf(Vec<u8>),
    Branch(B256),
}

impl Part {
    /// The items from `first` on, which is a multiple of [`part_length`]; `encode` appends each to an empty buffer.
    pub fn new<T>(first: usize, items: &[T], mut encode: impl FnMut(&T, &mut Vec<u8>)) -> Self {
        let (mut pieces, mut item, mut node) = (Vec::new(), Vec::new(), Vec::new());
        for (index, group) in (first..).step_by(GROUP).zip(items.chunks(GROUP)) {
            let mut encoded = |next: &T, item: &mut Vec<u8>| {
                item.clear();
                encode(next, item);
            };
            if index == 0 || group.len() < GROUP {
                for (index, next) in (index..).zip(group) {
                    encoded(next, &mut item);
                    pieces.push((path(index), Piece::Leaf(item.clone())));
                }
                continue;
            }
            let leaves: Vec<RlpNode> = group
                .iter()
                .map(|next| {
                    encoded(next, &mut item);
                    node.clear();
                    LeafNodeRef::new(&Nibbles::new(), &item).rlp(&mut node)
                })
                .collect();
            node.clear();
            let branch = BranchNodeRef::new(&leaves, TrieMask::new(u16::MAX)).rlp(&mut node);
            let path = path(index);
            // Sixteen leaves of two bytes at least are longer than a hash.
            let branch = branch.as_hash().unwrap_or_default();
            pieces.push((path.slice(..path.len() - 1), Piece::Branch(branch)));
        }
        Self(pieces)
    }
}

/// How many items each part of a list should have, so that every core has its share.
pub fn part_length(items: usize, cores: usize) -> usize {
    items.div_ceil(cores.max(1)).max(PART_MIN).next_multiple_of(GROUP)
}

/// The root of the list that these parts make up.
pub fn root(parts: impl IntoIterator<Item = Part>) -> B256 {
    let mut pieces: Vec<_> = parts.into_iter().flat_map(|Part(pieces)| pieces).collect();
    if pieces.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    pieces.sort_unstable_by_key(|(path, _)| *path);
    let mut builder = HashBuilder::default();
    for (path, piece) in pieces {
        match piece {
            Piece::Leaf(item) => builder.add_leaf(path, &item),
            Piece::Branch(hash) => builder.add_branch(path, hash, false),
        }
    }
    builder.root()
}

fn path(index: usize) -> Nibbles {
    Nibbles::unpack(alloy_rlp::encode_fixed_size(&index))
}
