//! Tests of `trie`.
