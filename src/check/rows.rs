//! The rows of the databases: records against catalogue and expiry index, identity.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::report::{CheckFigures, Findings, Problem, ProblemKind, text};
use super::tree::{Owner, Pages, Row, Walked};
use crate::catalogue::CatalogueRow;
use crate::environment::{CATALOGUE, CHANGES, EXPIRY, META, META_KEY, Meta, QUEUES};
use crate::expiry::{KEY_BYTES, decode_row, row_key};
use crate::names::{check_key, check_namespace};
use crate::page::Tree;
use crate::record::{Record, namespace_seed};
use crate::value;

/// A named database: its name and its tree.
pub(super) struct Named {
    pub name: Vec<u8>,
    pub tree: Tree,
}

/// What namespaces are compared with.
#[derive(Default)]
pub(super) struct Indexes {
    /// Name -> row, or nothing where the row is damaged.
    catalogue: BTreeMap<Vec<u8>, Option<CatalogueRow>>,
    catalogue_is_whole: bool,
    /// Key of a row -> checksum of the namespace and key that it names, or nothing where the row
    /// is damaged. Rows whose record was found are taken out.
    expiry: HashMap<[u8; KEY_BYTES], Option<u32>>,
    expiry_is_whole: bool,
    /// Namespaces of which not every record could be read.
    unsure: HashSet<Vec<u8>>,
}

/// The databases that the main tree names.
pub(super) fn databases(pages: &mut Pages, findings: &mut Findings) -> (Vec<Named>, Walked) {
    let mut all = Vec::new();
    let main = pages.meta.main;
    let walked = pages.walk(&main, Owner::Main, findings, &mut |findings, row| {
        let named = Tree::of_row(row.data).filter(|tree| row.is_tree && tree.flags == 0);
        let is_internal = row.key.first() == Some(&1);
        let name = std::str::from_utf8(row.key).ok();
        if !is_internal && name.is_none_or(|name| check_namespace(name).is_err()) {
            let what = "a database has a name that no namespace can have";
            let problem = Problem::new(ProblemKind::Database, what);
            findings.add(problem.on_page(row.page).with_key(row.key));
        }
        match named {
            Some(tree) => all.push(Named { name: row.key.to_vec(), tree }),
            None => {
                let owner = owner_of(row.key);
                let what = "its row in the main tree is no row of a database";
                findings.add(owner.problem(ProblemKind::Tree, what).on_page(row.page));
            }
        }
    });
    (all, walked)
}

pub(super) fn owner_of(name: &[u8]) -> Owner<'_> {
    match name.first() {
        Some(1) => Owner::Internal(name),
        _ => Owner::Namespace(name),
    }
}

/// The internal databases, of which each store has all.
pub(super) const INTERNAL: [&str; 5] = [META, CATALOGUE, EXPIRY, CHANGES, QUEUES];

/// The store's identity.
pub(super) fn identity(pages: &mut Pages, named: &Named, findings: &mut Findings) -> Option<Meta> {
    let mut identity = None;
    let owner = Owner::Internal(&named.name);
    pages.walk(&named.tree, owner, findings, &mut |findings, row| {
        if row.key != META_KEY {
            let problem = owner.problem(ProblemKind::Identity, "it has a row that is not known");
            return findings.add(problem.on_page(row.page).with_key(row.key));
        }
        match Meta::decode(Some(row.data)) {
            Ok(meta) => identity = Some(meta),
            Err(_) => {
                let problem =
                    owner.problem(ProblemKind::Identity, "the store's identity is damaged");
                findings.add(problem.on_page(row.page));
            }
        }
    });
    if identity.is_none() {
        findings.add(owner.problem(ProblemKind::Identity, "the store has lost its identity"));
    }
    identity
}

impl Indexes {
    pub fn read_catalogue(&mut self, pages: &mut Pages, named: &Named, findings: &mut Findings) {
        let owner = Owner::Internal(&named.name);
        let catalogue = &mut self.catalogue;
        let walked = pages.walk(&named.tree, owner, findings, &mut |findings, row| {
            let decoded = CatalogueRow::decode(row.key, row.data).ok();
            if decoded.is_none() {
                let problem =
                    Problem::new(ProblemKind::Catalogue, "its row of the catalogue is damaged");
                findings.add(problem.on_page(row.page).of_namespace(row.key));
            }
            catalogue.insert(row.key.to_vec(), decoded);
        });
        self.catalogue_is_whole = walked.is_whole;
    }

    pub fn read_expiry(&mut self, pages: &mut Pages, named: &Named, findings: &mut Findings) {
        let owner = Owner::Internal(&named.name);
        let index = &mut self.expiry;
        let walked = pages.walk(&named.tree, owner, findings, &mut |findings, row| {
            let decoded = decode_row(row.key, row.data).ok();
            if decoded.is_none() {
                let problem = owner.problem(ProblemKind::Expiry, "a row is damaged");
                findings.add(problem.on_page(row.page));
            }
            if let Ok(key) = row.key.try_into() {
                index.insert(key, decoded.map(|(name, key)| entry_checksum(name.as_bytes(), key)));
            }
        });
        self.expiry_is_whole = walked.is_whole;
    }

    /// Walks a namespace and compares it with the indexes. Returns how many records it has.
    pub fn check_namespace(
        &mut self,
        pages: &mut Pages,
        named: &Named,
        version: Option<u64>,
        findings: &mut Findings,
        figures: &mut CheckFigures,
    ) -> u64 {
        let owner = Owner::Namespace(&named.name);
        let mut check = RecordCheck {
            owner,
            name: &named.name,
            seed: namespace_seed(&text(&named.name)),
            version: version.unwrap_or(u64::MAX),
            indexes: self,
            figures,
            found: CatalogueRow::default(),
            damaged: 0,
        };
        let walked = pages
            .walk(&named.tree, owner, findings, &mut |findings, row| check.row(findings, &row));
        let found = CatalogueRow { count: walked.entries, ..check.found };
        let is_sure = walked.is_whole && check.damaged == 0;
        if !is_sure {
            self.unsure.insert(named.name.clone());
        }
        if walked.is_whole {
            self.compare_catalogue(owner, &named.name, found, is_sure, findings);
        }
        self.catalogue.remove(&named.name);
        walked.entries
    }

    fn compare_catalogue(
        &self,
        owner: Owner,
        name: &[u8],
        found: CatalogueRow,
        is_sure: bool,
        findings: &mut Findings,
    ) {
        let what = match self.catalogue.get(name) {
            // What is wrong with the row has been said.
            Some(None) => return,
            None if found.count == 0 || !self.catalogue_is_whole => return,
            None => format!("it has {} records and no row in the catalogue", found.count),
            Some(Some(row)) => match disagreement(row, &found, is_sure) {
                Some(what) => what,
                None => return,
            },
        };
        findings.add(owner.problem(ProblemKind::Catalogue, what));
    }

    /// Reports what belongs to no namespace and to no record, when all namespaces were walked.
    /// `all_were_named`: the main tree was walked whole.
    pub fn report_strays(
        &self,
        pages: &Pages,
        expiry: Option<&Named>,
        all_were_named: bool,
        findings: &mut Findings,
    ) {
        for name in self.catalogue.keys().filter(|_| all_were_named) {
            let what = "the catalogue has it, but it has no database";
            let problem = Problem::new(ProblemKind::Catalogue, what);
            findings.add(problem.of_namespace(name));
        }
        let Some(named) = expiry.filter(|_| all_were_named && !self.expiry.is_empty()) else {
            return;
        };
        // A second walk, whose own problems were reported by the first one.
        let Ok(mut anew) = pages.anew() else { return };
        let owner = Owner::Internal(&named.name);
        anew.walk(&named.tree, owner, &mut Findings::default(), &mut |_, row| {
            let is_left = <&[u8; KEY_BYTES]>::try_from(row.key)
                .is_ok_and(|key| self.expiry.contains_key(key));
            let Ok((namespace, key)) = decode_row(row.key, row.data) else { return };
            if is_left && !self.unsure.contains(namespace.as_bytes()) {
                let what = "a row of the expiry index belongs to no record";
                let problem = Problem::new(ProblemKind::Expiry, what).on_page(row.page);
                findings.add(problem.of_namespace(namespace.as_bytes()).with_key(key));
            }
        });
    }
}

/// What the catalogue says that is not so. Of damaged records it is not known whether they expire.
fn disagreement(row: &CatalogueRow, found: &CatalogueRow, is_sure: bool) -> Option<String> {
    if row.count != found.count {
        return Some(format!("the catalogue says {} records, it has {}", row.count, found.count));
    }
    if row.count == 0 {
        return Some("the catalogue has it with no records".into());
    }
    if is_sure && row.expiring != found.expiring {
        let (says, has) = (row.expiring, found.expiring);
        return Some(format!("the catalogue says {says} expiring records, it has {has}"));
    }
    (row.last_version < found.last_version).then(|| {
        let (says, has) = (row.last_version, found.last_version);
        format!("the catalogue says version {says}, it has a record of version {has}")
    })
}

fn entry_checksum(namespace: &[u8], key: &[u8]) -> u32 {
    crc32c::crc32c_append(namespace_seed(&text(namespace)), key)
}

struct RecordCheck<'c> {
    owner: Owner<'c>,
    name: &'c [u8],
    seed: u32,
    version: u64,
    indexes: &'c mut Indexes,
    figures: &'c mut CheckFigures,
    found: CatalogueRow,
    /// Records whose head could not be read.
    damaged: u64,
}

impl RecordCheck<'_> {
    fn row(&mut self, findings: &mut Findings, row: &Row) {
        self.figures.records += 1;
        self.figures.record_bytes += (row.key.len() + row.data.len()) as u64;
        let report = |findings: &mut Findings, kind, what: &str| {
            findings.add(self.owner.problem(kind, what).on_page(row.page).with_key(row.key));
        };
        let key = std::str::from_utf8(row.key).ok();
        if row.is_tree || key.is_none_or(|key| check_key(key).is_err()) {
            report(findings, ProblemKind::Key, "a key is none that an entry can have");
        }
        let Ok(record) = Record::parse(self.seed, row.key, row.data) else {
            self.damaged += 1;
            let what = "the checksum of a record's head does not match";
            return report(findings, ProblemKind::Record, what);
        };
        match record.value(row.key) {
            Err(_) => {
                let what = "the checksum of a record's value does not match";
                report(findings, ProblemKind::Record, what);
            }
            Ok(bytes) if value::check(bytes).is_err() => {
                report(findings, ProblemKind::Value, "a value is not well-formed");
            }
            Ok(_) => {}
        }
        let head = &record.head;
        if head.version > self.version {
            report(findings, ProblemKind::Record, "a record is of a version that has not been yet");
        }
        if !head.metadata.is_empty() && !is_json_object(head.metadata) {
            report(findings, ProblemKind::Record, "the metadata of a record are not JSON");
        }
        self.found.last_version = self.found.last_version.max(head.version);
        let Some(expiry) = head.expiry else { return };
        self.found.expiring += 1;
        self.figures.expiring_records += 1;
        let is_indexed = match self.indexes.expiry.remove(&row_key(expiry, head.version)) {
            // A damaged row has been reported.
            Some(None) => true,
            Some(Some(checksum)) => checksum == entry_checksum(self.name, row.key),
            None => !self.indexes.expiry_is_whole,
        };
        if !is_indexed {
            report(findings, ProblemKind::Expiry, "a record that expires has no row in the index");
        }
    }
}

fn is_json_object(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(bytes).is_ok()
}
