//! The chain in a directory: what is written as it grows, and how it is read back.
//!
//! The file itself is `journal`'s. Reading executes every block again and compares its header.

use std::{path::Path, sync::Arc};

use super::{Chain, ChainError};
use crate::l1::{
    block::Block,
    config::Config,
    journal::{self, Preamble, Record},
};

impl Chain {
    /// A chain that is kept in a directory: continued when there is one, else started.
    ///
    /// An existing chain keeps its genesis timestamp; everything else must be configured as it was.
    ///
    /// # Errors
    /// When the directory cannot be used or holds another chain.
    pub fn open(mut config: Config, directory: &Path) -> Result<Self, ChainError> {
        let Some(mut reader) = journal::open(directory)? else {
            let mut chain = Self::new(config)?;
            chain.journal = Some(journal::create(directory, chain.preamble())?);
            return Ok(chain);
        };
        config.genesis_timestamp = reader.preamble.genesis_timestamp;
        let mut chain = Self::new(config)?;
        let (found, wanted) = (reader.preamble.genesis_hash, chain.preamble().genesis_hash);
        if found != wanted {
            return Err(ChainError::Genesis { found, wanted });
        }
        while let Some(record) = reader.next()? {
            chain.replay(record)?;
        }
        chain.events.clear();
        chain.journal = Some(reader.into_journal()?);
        Ok(chain)
    }

    fn preamble(&self) -> Preamble {
        let genesis_hash = self.tree.at(0).map(|block| block.hash).unwrap_or_default();
        Preamble { genesis_timestamp: self.config.genesis_timestamp, genesis_hash }
    }

    pub(super) fn write(&mut self, block: &Block) -> Result<(), ChainError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        for hash in block.blob_hashes() {
            if let Some(blob) = self.blobs.get(&hash).filter(|_| !journal.has_blob(&hash)) {
                journal.append(&Record::Blob(hash, (**blob).clone()))?;
            }
        }
        journal.append(&Record::Block(block.rlp().to_vec()))?;
        Ok(())
    }

    fn replay(&mut self, record: Record) -> Result<(), ChainError> {
        match record {
            Record::Blob(hash, blob) => self.blobs.insert(hash, Arc::new(blob)),
            Record::Head(hash) => self.set_head(hash)?,
            Record::Block(rlp) => self.replay_block(&rlp)?,
        }
        Ok(())
    }

    fn replay_block(&mut self, rlp: &[u8]) -> Result<(), ChainError> {
        let (header, transactions) =
            Block::decode(rlp).ok_or(ChainError::Replay { number: self.head().number() + 1 })?;
        let block = self.mine_salted(
            header.parent_hash,
            transactions,
            header.timestamp,
            header.extra_data.clone(),
        )?;
        if block.header != header {
            return Err(ChainError::Replay { number: header.number });
        }
        Ok(())
    }
}
