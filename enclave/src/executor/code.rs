//! Contract code with what `revm` finds out about it before it runs it, so that this is found out once. Not
//! here: where codes are kept (`trie`).

use alloy_primitives::Bytes;
use revm::state::Bytecode;

/// A code, analysed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Code(Bytecode);

impl Code {
    /// Analyses a code.
    pub fn new(bytes: Bytes) -> Self {
        Self(
            Bytecode::new_raw_checked(bytes.clone())
                .unwrap_or_else(|_| Bytecode::new_legacy(bytes)),
        )
    }

    /// As it was deployed.
    pub fn bytes(&self) -> Bytes {
        self.0.original_bytes()
    }

    pub(super) fn into_bytecode(self) -> Bytecode {
        self.0
    }
}
