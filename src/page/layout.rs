//! The entries of a page, each where it belongs.
//!
//! LMDB fills a page from both ends: offsets from the front, nodes from the back, in the order in
//! which they were added. A bit that flips in an offset or a length makes LMDB read another node,
//! or bytes behind the page. So each node must lie in the used part and share no byte with another.

use std::fs::File;

use super::{
    Data, F_BIGDATA, F_SUBDATA, HEADER_BYTES, META_PAGES, Meta, NODE_BYTES, P_BRANCH, P_LEAF,
    P_OVERFLOW, Page, Result, damaged, leaf, read_page, u16_at, u32_at,
};

/// Offsets come at even places.
const ALIGNMENT: usize = 2;

/// What is on a page of a tree.
pub(crate) enum Content<'page> {
    /// Separators and children. The first separator means nothing.
    Branch(Vec<(&'page [u8], u64)>),
    /// Entries in their order.
    Leaf(Vec<Entry<'page>>),
}

/// An entry of a leaf page.
pub(crate) struct Entry<'page> {
    pub key: &'page [u8],
    pub data: Data<'page>,
    /// Whether the data is a tree of its own.
    pub is_tree: bool,
}

impl Page {
    /// The entries of a page of a tree.
    pub fn content(&self) -> Result<Content<'_>> {
        match self.flags {
            P_BRANCH => self.branch().map(Content::Branch),
            P_LEAF => self.leaf_entries().map(Content::Leaf),
            _ => Err(damaged("it is an overflow page where a page of a tree should be")),
        }
    }

    fn branch(&self) -> Result<Vec<(&[u8], u64)>> {
        let word = |node: &[u8], at| u16_at(node, at).map(u64::from);
        let entry = |node| {
            let child = word(node, 0)? | word(node, 2)? << 16 | word(node, 4)? << 32;
            let key_bytes = usize::from(u16_at(node, 6)?);
            let key = node.get(NODE_BYTES..)?.get(..key_bytes)?;
            Some(((key, child), NODE_BYTES + key_bytes))
        };
        self.sound_nodes(entry)
    }

    fn leaf_entries(&self) -> Result<Vec<Entry<'_>>> {
        let mut unknown_flags = false;
        let entry = |node| {
            let flags = u16_at(node, 4)?;
            unknown_flags |= flags & !(F_BIGDATA | F_SUBDATA) != 0;
            let read = leaf(node)?;
            let data_bytes = match read.data {
                Data::Here(bytes) => bytes.len(),
                Data::Overflow { .. } => size_of::<u64>(),
            };
            let bytes = NODE_BYTES + read.key.len() + data_bytes;
            let is_tree = flags & F_SUBDATA != 0;
            Some((Entry { key: read.key, data: read.data, is_tree }, bytes))
        };
        let entries = self.sound_nodes(entry)?;
        if unknown_flags { Err(damaged("an entry has unknown flags")) } else { Ok(entries) }
    }

    /// All nodes in the order of their keys, if each is well-formed and none shares bytes with
    /// another. `read` gives a node and its bytes.
    fn sound_nodes<'page, T>(
        &'page self,
        mut read: impl FnMut(&'page [u8]) -> Option<(T, usize)>,
    ) -> Result<Vec<T>> {
        let ill_formed = || damaged("its entries do not lie where they should");
        let end = |at| u16_at(&self.bytes, at).map(usize::from).ok_or_else(ill_formed);
        let (lower, upper) = (end(12)?, end(14)?);
        // A page of 64 KiB that is empty would end at 65,536, which these fields cannot say.
        if lower < HEADER_BYTES || !lower.is_multiple_of(ALIGNMENT) || upper < lower {
            return Err(ill_formed());
        }
        let offsets = self.bytes.get(HEADER_BYTES..lower).ok_or_else(ill_formed)?;
        let mut nodes = Vec::with_capacity(offsets.len() / 2);
        let mut places = Vec::with_capacity(offsets.len() / 2);
        for offset in offsets.chunks_exact(2) {
            let at = u16_at(offset, 0).map(usize::from).ok_or_else(ill_formed)?;
            let node = self.bytes.get(at..).filter(|_| at.is_multiple_of(ALIGNMENT));
            let (node, bytes) = node.and_then(&mut read).ok_or_else(ill_formed)?;
            nodes.push(node);
            places.push((at, at + bytes));
        }
        places.sort_unstable();
        let mut free_from = upper;
        for (from, to) in places {
            if from < free_from {
                return Err(ill_formed());
            }
            free_from = to;
        }
        Ok(nodes)
    }
}

/// How many pages the overflow that begins at `page` has, when all of them are in the file.
pub(crate) fn overflow_run(file: &File, meta: &Meta, page: u64) -> Result<u64> {
    let first = read_page(file, meta, page)?;
    let pages = u32_at(&first.bytes, 12).map_or(0, u64::from);
    if first.flags != P_OVERFLOW {
        return Err(damaged("it is not the overflow page it should be"));
    }
    if pages == 0 || page.saturating_add(pages) > meta.last_page + 1 || page < META_PAGES {
        return Err(damaged(format!("it cannot begin an overflow of {pages} pages")));
    }
    Ok(pages)
}
