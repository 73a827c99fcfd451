//! The pages of LMDB's data file, read without mapping them.
//!
//! A page that is mapped and damaged, or missing, kills the process (hazards 16 and 17); read by
//! position it gives an error. The layout is that of mdb.c (lmdb-master-sys 0.2.6, data version
//! 1) on a 64-bit machine, numbers in the machine's byte order:
//!
//! - `MDB_page`, 16 bytes: page number 8, padding 2, flags 2, then the ends of the free space
//!   (lower 2, upper 2) or the number of overflow pages (4). Node offsets follow, 2 bytes each.
//! - `MDB_meta` after the header of pages 0 and 1: magic 4, version 4, address 8, map size 8, two
//!   `MDB_db` (free list, main), last page 8, transaction id 8.
//! - `MDB_db`, 48 bytes: page size or padding 4, flags 2, depth 2, branch pages 8, leaf pages 8,
//!   overflow pages 8, entries 8, root 8.
//! - `MDB_node`, 8 bytes: low and high half of the data's size 2 + 2, flags 2, key size 2; then key
//!   and data. In a branch page size and flags together are the child's page number.
//!
//! What is read here before a store is opened is taken as it comes, as far as it can be read; a
//! check of the store wants every entry of a page to be where it belongs (`page/layout.rs`).

mod layout;

use std::fs::File;
use std::io;

pub(crate) use layout::{Content, Entry, overflow_run};

const _: () = assert!(size_of::<usize>() == 8, "LMDB's files differ on 32-bit machines");

/// Header of a page (`PAGEHDRSZ`).
const HEADER_BYTES: usize = 16;
const META_BYTES: usize = 136;
const NODE_BYTES: usize = 8;
/// The part of a meta page that LMDB reads.
pub(crate) const META_PAGE_BYTES: usize = HEADER_BYTES + META_BYTES;
/// Of the transaction id in that part.
const META_TXN_AT: usize = HEADER_BYTES + 128;
/// A database without pages has no root (`P_INVALID`).
const NO_PAGE: u64 = u64::MAX;
const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
/// Two meta pages come first (`NUM_METAS`).
pub(crate) const META_PAGES: u64 = 2;
/// Deepest tree that LMDB's cursors can walk (`CURSOR_STACK`).
pub(crate) const MAX_DEPTH: u16 = 32;
/// Bytes of a tree's row in the main tree.
const TREE_BYTES: usize = 48;

const P_BRANCH: u16 = 0x01;
const P_LEAF: u16 = 0x02;
const P_OVERFLOW: u16 = 0x04;
const P_META: u16 = 0x08;
const F_BIGDATA: u16 = 0x01;
const F_SUBDATA: u16 = 0x02;
const MDB_INTEGERKEY: u16 = 0x08;
const MDB_NOSUBDIR: u16 = 0x4000;

/// A tree of pages (`MDB_db`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tree {
    pub flags: u16,
    pub depth: u16,
    pub branch_pages: u64,
    pub leaf_pages: u64,
    pub overflow_pages: u64,
    pub entries: u64,
    /// `None` where the tree is empty.
    pub root: Option<u64>,
}

/// A meta page: the root of one snapshot (`MDB_meta`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub page_bytes: u64,
    pub free: Tree,
    pub main: Tree,
    pub last_page: u64,
    pub txn_id: u64,
}

/// A leaf or branch page, or the first page of an overflow.
pub(crate) struct Page {
    bytes: Vec<u8>,
    flags: u16,
}

/// An entry of a leaf page: key, and data in place or on overflow pages.
pub(crate) struct Leaf<'page> {
    pub key: &'page [u8],
    pub data: Data<'page>,
}

/// Where the data of a leaf entry lies.
pub(crate) enum Data<'page> {
    Here(&'page [u8]),
    Overflow { page: u64, bytes: usize },
}

/// Why a page cannot be used.
#[derive(Debug)]
pub(crate) enum PageError {
    Io(io::Error),
    Damaged(String),
}

type Result<T> = std::result::Result<T, PageError>;

impl From<io::Error> for PageError {
    fn from(error: io::Error) -> PageError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it lies behind the end of the file"),
            _ => PageError::Io(error),
        }
    }
}

impl PageError {
    /// A tree has more pages than its meta page counts.
    pub fn endless() -> PageError {
        damaged("its tree has no end")
    }
}

fn damaged(what: impl Into<String>) -> PageError {
    PageError::Damaged(what.into())
}

/// Reads the meta page at an offset and checks what can be told from it alone, but for its last
/// page ([`Meta::check_trees`]). LMDB itself checks the page flag, the magic number and the version
/// only (`mdb_env_read_header`).
///
/// Where LMDB could not write a meta page it takes it back: it writes the old transaction id and
/// the old last page over the new ones, and leaves the new roots (`mdb_env_write_meta`). Their
/// pages are in the file, but may lie behind the last page.
pub(crate) fn read_meta(file: &File, offset: u64) -> Result<Meta> {
    let meta = parse_meta(&read_meta_page(file, offset)?)?;
    let pages = file.metadata().map_err(PageError::Io)?.len() / meta.page_bytes;
    meta.check_trees_within(meta.last_page.max(pages)).map(|()| meta)
}

/// The part of the meta page at an offset that LMDB reads, unchecked.
pub(crate) fn read_meta_page(file: &File, offset: u64) -> Result<[u8; META_PAGE_BYTES]> {
    let mut bytes = [0; META_PAGE_BYTES];
    read_exact_at(file, &mut bytes, offset)?;
    Ok(bytes)
}

/// A meta page for the place with this number, with the roots of another one. LMDB keeps the
/// transaction with an even id on page 0, and reads the newest from the page of its parity.
pub(crate) fn meta_page_at(
    number: u64,
    txn_id: u64,
    like: &[u8; META_PAGE_BYTES],
) -> [u8; META_PAGE_BYTES] {
    let mut bytes = *like;
    for (at, field) in [(0, number), (META_TXN_AT, txn_id)] {
        if let Some(place) = bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&field.to_ne_bytes());
        }
    }
    bytes
}

/// Parses a meta page, as `read_meta`.
pub(crate) fn parse_meta(bytes: &[u8; META_PAGE_BYTES]) -> Result<Meta> {
    let short = || damaged("it is short");
    let (header, meta) = bytes.split_at(HEADER_BYTES);
    if u16_at(header, 10).ok_or_else(short)? & P_META == 0 {
        return Err(damaged("it is not a meta page"));
    }
    if u32_at(meta, 0) != Some(MAGIC) {
        return Err(damaged("it has no magic number"));
    }
    match u32_at(meta, 4).ok_or_else(short)? {
        DATA_VERSION => {}
        version => return Err(damaged(format!("it has LMDB data version {version}"))),
    }
    let meta = Meta {
        page_bytes: u64::from(u32_at(meta, 24).ok_or_else(short)?),
        free: tree_at(meta, 24).ok_or_else(short)?,
        main: tree_at(meta, 72).ok_or_else(short)?,
        last_page: u64_at(meta, 120).ok_or_else(short)?,
        txn_id: u64_at(meta, 128).ok_or_else(short)?,
    };
    meta.check().map(|()| meta)
}

fn tree_at(bytes: &[u8], at: usize) -> Option<Tree> {
    Some(Tree {
        flags: u16_at(bytes, at + 4)?,
        depth: u16_at(bytes, at + 6)?,
        branch_pages: u64_at(bytes, at + 8)?,
        leaf_pages: u64_at(bytes, at + 16)?,
        overflow_pages: u64_at(bytes, at + 24)?,
        entries: u64_at(bytes, at + 32)?,
        root: u64_at(bytes, at + 40).filter(|root| *root != NO_PAGE),
    })
}

impl Tree {
    /// The tree of a named database, by its row in the main tree.
    pub fn of_row(row: &[u8]) -> Option<Tree> {
        tree_at(row, 0).filter(|_| row.len() == TREE_BYTES)
    }

    /// Pages of all kinds.
    pub fn pages(&self) -> u64 {
        [self.branch_pages, self.leaf_pages, self.overflow_pages]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Meta {
    /// Bytes of the file when all pages up to the last are in it.
    pub fn file_bytes(&self) -> u64 {
        (self.last_page + 1) * self.page_bytes
    }

    fn check(&self) -> Result<()> {
        if !self.page_bytes.is_power_of_two() || !(256..=65536).contains(&self.page_bytes) {
            return Err(damaged(format!("it has a page size of {}", self.page_bytes)));
        }
        // Offsets of a file are signed 64-bit numbers.
        if self.last_page < META_PAGES - 1 || self.last_page >= (1 << 62) / self.page_bytes {
            return Err(damaged(format!("it has a last page of {}", self.last_page)));
        }
        // The free list's flags also keep those of the environment. MDB_FIXEDMAP (0x01) would have
        // the file mapped at an address of its own choice.
        if self.free.flags & !MDB_NOSUBDIR != MDB_INTEGERKEY || self.main.flags != 0 {
            return Err(damaged("it has unknown flags"));
        }
        Ok(())
    }

    /// Refuses trees that cannot be true of the file as the meta page describes it.
    pub fn check_trees(&self) -> Result<()> {
        self.check_trees_within(self.last_page)
    }

    /// Refuses what cannot be true of a tree in this file.
    pub fn check_tree(&self, name: &str, tree: Tree) -> Result<()> {
        check_tree(name, tree, self.last_page)
    }

    fn check_trees_within(&self, last_page: u64) -> Result<()> {
        check_tree("its free list", self.free, last_page)?;
        check_tree("its main tree", self.main, last_page)
    }
}

fn check_tree(name: &str, tree: Tree, last_page: u64) -> Result<()> {
    let inside = tree.root.is_none_or(|root| (META_PAGES..=last_page).contains(&root));
    let sound = inside
        && tree.root.is_none() == (tree.depth == 0)
        && tree.depth <= MAX_DEPTH
        && tree.pages() < last_page + 1;
    if sound { Ok(()) } else { Err(damaged(format!("{name} cannot be true: {tree:?}"))) }
}

/// Reads a page of a tree and checks its header.
pub(crate) fn read_page(file: &File, meta: &Meta, number: u64) -> Result<Page> {
    if !(META_PAGES..=meta.last_page).contains(&number) {
        return Err(damaged("there is no such page"));
    }
    let mut bytes = vec![0; meta.page_bytes as usize];
    read_exact_at(file, &mut bytes, number * meta.page_bytes)?;
    let flags = u16_at(&bytes, 10).unwrap_or(0);
    let known = matches!(flags, P_BRANCH | P_LEAF | P_OVERFLOW);
    if !known || u64_at(&bytes, 0) != Some(number) {
        return Err(damaged("its header is not that of a page of data"));
    }
    Ok(Page { bytes, flags })
}

/// Reads the data of an entry that lies on overflow pages.
pub(crate) fn read_overflow(file: &File, meta: &Meta, page: u64, bytes: usize) -> Result<Vec<u8>> {
    if read_page(file, meta, page)?.flags != P_OVERFLOW || bytes as u64 > meta.file_bytes() {
        return Err(damaged("it is not the overflow page it should be"));
    }
    let mut data = vec![0; bytes];
    read_exact_at(file, &mut data, page * meta.page_bytes + HEADER_BYTES as u64)?;
    Ok(data)
}

impl Page {
    /// The children of a branch page, or `None` for a page of another kind.
    pub fn children(&self) -> Option<Vec<u64>> {
        let word = |node: &[u8], at| u16_at(node, at).map(u64::from);
        let child = |node| Some(word(node, 0)? | word(node, 2)? << 16 | word(node, 4)? << 32);
        (self.flags == P_BRANCH).then(|| self.nodes().filter_map(child).collect())
    }

    /// The entries of a leaf page.
    pub fn leaves(&self) -> Result<Vec<Leaf<'_>>> {
        if self.flags != P_LEAF {
            return Err(damaged("it is not the leaf page it should be"));
        }
        let leaves = self.nodes().map(leaf).collect::<Option<Vec<_>>>();
        leaves.ok_or_else(|| damaged("an entry lies outside of it"))
    }

    fn nodes(&self) -> impl Iterator<Item = &[u8]> {
        let lower = u16_at(&self.bytes, 12).map_or(0, usize::from);
        let offsets = self.bytes.get(HEADER_BYTES..lower).unwrap_or_default().chunks_exact(2);
        offsets.map(|offset| {
            let at = u16_at(offset, 0).map_or(usize::MAX, usize::from);
            self.bytes.get(at..).unwrap_or_default()
        })
    }
}

fn leaf(node: &[u8]) -> Option<Leaf<'_>> {
    let bytes = usize::from(u16_at(node, 0)?) | usize::from(u16_at(node, 2)?) << 16;
    let key_bytes = usize::from(u16_at(node, 6)?);
    let (key, rest) = node.get(NODE_BYTES..)?.split_at_checked(key_bytes)?;
    let data = match u16_at(node, 4)? & F_BIGDATA {
        0 => Data::Here(rest.get(..bytes)?),
        _ => Data::Overflow { page: u64_at(rest, 0)?, bytes },
    };
    Some(Leaf { key, data })
}

/// A number at a place, in the machine's byte order.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = bytes.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
