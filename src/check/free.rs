//! The free list, and whether every page is used once, free, or leaked.

use super::report::{CheckFigures, Findings, Problem, ProblemKind};
use super::tree::{Owner, Pages, Row};
use crate::page::{META_PAGES, u64_at};

/// Walks the free list when all other trees have been walked, and accounts for every page.
pub(super) fn check(pages: &mut Pages, findings: &mut Findings, figures: &mut CheckFigures) {
    let meta = pages.meta;
    let mut free = Vec::new();
    let mut visit = |findings: &mut Findings, row: Row<'_>| {
        if !take_entry(&row, meta.txn_id, &mut free) {
            let what = "the free list: an entry is ill-formed";
            findings.add(Problem::new(ProblemKind::FreeList, what).on_page(row.page));
        }
    };
    pages.walk(&meta.free, Owner::FreeList, findings, &mut visit);
    figures.used_pages = pages.reached + META_PAGES;
    let present = figures.file_bytes / meta.page_bytes;
    let mut listed_missing = 0;
    for page in free {
        if !(META_PAGES..=meta.last_page).contains(&page) {
            let what = format!("the free list has page {page}, the last one is {}", meta.last_page);
            findings.add(Problem::new(ProblemKind::FreeList, what).on_page(page));
        } else if !pages.mark(page) {
            let what = "the free list has a page that is in use, or has it twice";
            findings.add(Problem::new(ProblemKind::PageShared, what).on_page(page));
        } else {
            figures.free_pages += 1;
            listed_missing += u64::from(page >= present);
        }
    }
    let accounted = figures.used_pages + figures.free_pages;
    figures.leaked_pages = figures.pages.saturating_sub(accounted);
    // Pages that were given back before they were written may be missing at the end.
    if listed_missing < figures.pages.saturating_sub(present) {
        let (has, needs) = (figures.file_bytes, meta.file_bytes());
        let what = format!("data.mdb has {has} bytes, its last commit needs {needs}: it was cut");
        findings.add(Problem::new(ProblemKind::FileShort, what));
    }
}

/// An entry is, under the transaction that freed them, a count and so many pages, the largest
/// first. LMDB may leave unused words behind them.
fn take_entry(row: &Row, newest_txn: u64, free: &mut Vec<u64>) -> bool {
    let txn_id = u64_at(row.key, 0).filter(|_| row.key.len() == 8);
    let mut words = row.data.chunks_exact(8).filter_map(|word| u64_at(word, 0));
    let count = words.next();
    let (Some(txn_id), Some(count)) = (txn_id, count) else { return false };
    let fits = usize::try_from(count).is_ok_and(|count| count < row.data.len() / 8);
    if row.is_tree || txn_id == 0 || txn_id > newest_txn || !fits {
        return false;
    }
    let before = free.len();
    free.extend(words.take(count as usize));
    free.get(before..).unwrap_or_default().is_sorted_by(|one, next| one > next)
}
