//! Walks trees of pages by plain reads: every page once, every key in order.

use std::collections::HashMap;
use std::fs::File;

use super::report::{Findings, Problem, ProblemKind, text};
use crate::page::{
    Content, Data, Entry, MAX_DEPTH, META_PAGES, Meta, Page, PageError, Tree, overflow_run,
    read_overflow, read_page,
};

/// Pages whose bits are kept together.
const BLOCK_PAGES: u64 = 64 * 512;

/// The pages of a snapshot, and which of them were reached.
pub(super) struct Pages {
    pub file: File,
    pub meta: Meta,
    /// Sparse, because a damaged meta page may claim any number of pages.
    seen: HashMap<u64, Box<[u64; 512]>>,
    pub reached: u64,
}

/// Whose tree it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    FreeList,
    Main,
    Internal(&'a [u8]),
    Namespace(&'a [u8]),
}

/// An entry of a tree, its data together.
pub(super) struct Row<'r> {
    pub page: u64,
    pub key: &'r [u8],
    pub data: &'r [u8],
    pub is_tree: bool,
}

/// How far a walk got.
#[derive(Clone, Copy, Default)]
pub(super) struct Walked {
    /// Entries that were found, read or not.
    pub entries: u64,
    /// Whether every entry of the tree was visited.
    pub is_whole: bool,
}

/// What is called with each entry.
pub(super) type Visit<'v> = dyn FnMut(&mut Findings, Row<'_>) + 'v;

impl Owner<'_> {
    fn name(self) -> String {
        match self {
            Owner::FreeList => "the free list".into(),
            Owner::Main => "the main tree".into(),
            Owner::Internal(name) => format!("the internal database {:?}", text(name)),
            Owner::Namespace(name) => format!("namespace {:?}", text(name)),
        }
    }

    pub fn problem(self, kind: ProblemKind, what: impl std::fmt::Display) -> Problem {
        let problem = Problem::new(kind, format!("{}: {what}", self.name()));
        match self {
            Owner::Namespace(name) => problem.of_namespace(name),
            _ => problem,
        }
    }
}

impl Pages {
    pub fn new(file: File, meta: Meta) -> Pages {
        Pages { file, meta, seen: HashMap::new(), reached: 0 }
    }

    /// The same pages, none of them reached.
    pub fn anew(&self) -> std::io::Result<Pages> {
        Ok(Pages::new(self.file.try_clone()?, self.meta))
    }

    /// Notes that a page was reached. Returns false if it had been before.
    pub fn mark(&mut self, page: u64) -> bool {
        let block = self.seen.entry(page / BLOCK_PAGES).or_insert_with(|| Box::new([0; 512]));
        let (word, bit) = ((page % BLOCK_PAGES / 64) as usize, 1 << (page % 64));
        let Some(word) = block.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.reached += u64::from(is_new);
        is_new
    }

    /// Walks a tree and visits its entries in their order.
    pub fn walk(
        &mut self,
        tree: &Tree,
        owner: Owner,
        findings: &mut Findings,
        visit: &mut Visit,
    ) -> Walked {
        if let Err(error) = self.meta.check_tree("its row", *tree) {
            let problem = owner.problem(ProblemKind::Tree, words(&error));
            findings.add(problem);
        }
        let found = Tree { branch_pages: 0, leaf_pages: 0, overflow_pages: 0, entries: 0, ..*tree };
        let mut walk =
            Walk { pages: self, owner, findings, visit, found, leaf_level: None, is_whole: true };
        if let Some(root) = tree.root {
            walk.page(root, 1, (None, None));
        }
        walk.compare(tree);
        Walked { entries: walk.found.entries, is_whole: walk.is_whole }
    }
}

/// The least key, and the first one that is too large, of a part of a tree.
type Bounds<'b> = (Option<&'b [u8]>, Option<&'b [u8]>);

struct Walk<'w> {
    pages: &'w mut Pages,
    owner: Owner<'w>,
    findings: &'w mut Findings,
    visit: &'w mut Visit<'w>,
    /// What was counted.
    found: Tree,
    /// How deep the first leaf lies.
    leaf_level: Option<u16>,
    is_whole: bool,
}

impl Walk<'_> {
    fn report(&mut self, kind: ProblemKind, page: u64, what: impl std::fmt::Display) {
        self.findings.add(self.owner.problem(kind, what).on_page(page));
    }

    /// As `report`, for what hides a part of the tree.
    fn lose(&mut self, kind: ProblemKind, page: u64, what: impl std::fmt::Display) {
        self.is_whole = false;
        self.report(kind, page, what);
    }

    fn page(&mut self, number: u64, level: u16, bounds: Bounds) {
        let Some(page) = self.claim_and_read(number) else { return };
        match page.content() {
            Err(error) => {
                self.lose(kind_of(&error, ProblemKind::PageEntries), number, words(&error))
            }
            Ok(Content::Branch(children)) => self.branch(number, level, bounds, &children),
            Ok(Content::Leaf(entries)) => self.leaf(number, level, bounds, entries),
        }
    }

    fn claim_and_read(&mut self, number: u64) -> Option<Page> {
        if !self.claim(number, 1) {
            return None;
        }
        match read_page(&self.pages.file, &self.pages.meta, number) {
            Ok(page) => Some(page),
            Err(error) => {
                self.lose(kind_of(&error, ProblemKind::PageHeader), number, words(&error));
                None
            }
        }
    }

    /// Notes that pages are reached, each for the first time and inside the store.
    fn claim(&mut self, first: u64, count: u64) -> bool {
        let last_page = self.pages.meta.last_page;
        if first < META_PAGES || first.saturating_add(count) > last_page + 1 {
            let what = format!("it leads to page {first}, the last one is {last_page}");
            self.lose(ProblemKind::PageOutside, first, what);
            return false;
        }
        for page in first..first + count {
            if !self.pages.mark(page) {
                self.lose(ProblemKind::PageShared, page, "a page of it has been reached before");
                return false;
            }
        }
        true
    }

    fn branch(&mut self, number: u64, level: u16, (low, high): Bounds, nodes: &[(&[u8], u64)]) {
        self.found.branch_pages += 1;
        // While LMDB moves its own free list, a branch of it may have one child.
        let least = if self.owner == Owner::FreeList { 1 } else { 2 };
        if nodes.len() < least {
            self.report(ProblemKind::PageEntries, number, "a branch page has too few children");
        }
        if level >= MAX_DEPTH {
            return self.lose(ProblemKind::Depth, number, "the tree is too deep");
        }
        let separators = nodes.iter().skip(1).map(|(key, _)| *key);
        self.check_order(number, (low, high), separators);
        for (index, (key, child)) in nodes.iter().enumerate() {
            let from = if index == 0 { low } else { Some(*key) };
            let to = nodes.get(index + 1).map_or(high, |(next, _)| Some(*next));
            self.page(*child, level + 1, (from, to));
        }
    }

    fn leaf(&mut self, number: u64, level: u16, bounds: Bounds, entries: Vec<Entry>) {
        self.found.leaf_pages += 1;
        if *self.leaf_level.get_or_insert(level) != level {
            self.report(
                ProblemKind::Depth,
                number,
                "a leaf page lies deeper or less deep than others",
            );
        }
        if entries.is_empty() {
            self.report(ProblemKind::PageEntries, number, "a leaf page is empty");
        }
        self.check_order(number, bounds, entries.iter().map(|entry| entry.key));
        for Entry { key, data, is_tree } in entries {
            self.found.entries += 1;
            match data {
                Data::Here(data) => {
                    (self.visit)(self.findings, Row { page: number, key, data, is_tree });
                }
                Data::Overflow { page, bytes } => {
                    let Some(data) = self.overflow(key, page, bytes) else { continue };
                    (self.visit)(self.findings, Row { page, key, data: &data, is_tree });
                }
            }
        }
    }

    fn overflow(&mut self, key: &[u8], page: u64, bytes: usize) -> Option<Vec<u8>> {
        let (file, meta) = (&self.pages.file, self.pages.meta);
        let run = overflow_run(file, &meta, page);
        let data = run.and_then(|pages| {
            if bytes as u64 + 16 > pages * meta.page_bytes {
                let what = format!("{bytes} bytes do not fit into {pages} overflow pages");
                return Err(PageError::Damaged(what));
            }
            Ok((pages, read_overflow(file, &meta, page, bytes)?))
        });
        match data {
            Ok((pages, data)) => {
                self.found.overflow_pages += pages;
                self.claim(page, pages).then_some(data)
            }
            Err(error) => {
                self.is_whole = false;
                let kind = kind_of(&error, ProblemKind::Overflow);
                let problem = self.owner.problem(kind, words(&error)).on_page(page);
                self.findings.add(problem.with_key(key));
                None
            }
        }
    }

    /// One report is enough for a page.
    fn check_order<'k>(
        &mut self,
        number: u64,
        (low, high): Bounds,
        keys: impl Iterator<Item = &'k [u8]>,
    ) {
        let rank = rank_of(self.owner);
        let mut before: Option<&[u8]> = None;
        for key in keys {
            let is_low = low.is_some_and(|low| rank(key) < rank(low));
            let is_high = high.is_some_and(|high| rank(key) >= rank(high));
            if is_low || is_high || before.is_some_and(|before| rank(key) <= rank(before)) {
                let what = "a key is not where the order of keys has it: it cannot be found";
                let problem = self.owner.problem(ProblemKind::KeyOrder, what).on_page(number);
                return self.findings.add(problem.with_key(key));
            }
            before = Some(key);
        }
    }

    /// Compares what was found with what the tree's row says.
    fn compare(&mut self, tree: &Tree) {
        if !self.is_whole {
            return;
        }
        let depth = self.leaf_level.unwrap_or(0);
        if depth != tree.depth {
            let what = format!("its row says depth {}, it is {depth}", tree.depth);
            self.findings.add(self.owner.problem(ProblemKind::Depth, what));
        }
        if self.found != *tree {
            let [says, is] = [tree, &self.found].map(counts);
            let what = format!("its row says {says}, it has {is}");
            self.findings.add(self.owner.problem(ProblemKind::TreeCounts, what));
        }
    }
}

fn counts(tree: &Tree) -> String {
    let Tree { branch_pages, leaf_pages, overflow_pages, entries, .. } = tree;
    format!(
        "{branch_pages} branch, {leaf_pages} leaf and {overflow_pages} overflow pages with \
         {entries} entries"
    )
}

/// How LMDB compares keys: as bytes, but for its free list, whose keys are numbers.
fn rank_of(owner: Owner) -> impl Fn(&[u8]) -> (u64, &[u8]) {
    let is_number = owner == Owner::FreeList;
    move |key| match key.first_chunk() {
        Some(number) if is_number => (u64::from_ne_bytes(*number), &[]),
        _ => (0, key),
    }
}

pub(super) fn words(error: &PageError) -> String {
    match error {
        PageError::Io(error) => format!("a page cannot be read: {error}"),
        PageError::Damaged(what) => what.clone(),
    }
}

/// The kind of a problem, where a page could not be read at all or is damaged.
pub(super) fn kind_of(error: &PageError, damaged: ProblemKind) -> ProblemKind {
    match error {
        PageError::Io(_) => ProblemKind::ReadFailed,
        PageError::Damaged(_) => damaged,
    }
}
