//! Reading: the rows, each checked against its sum.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::checksum::Sum;
use super::connection::{self, exec_to_done};
use super::error::{FindError, JournalError};
use super::record::{Entry, Filter, RunRow, StoredEntry};

/// Bits of `entries.place` that hold the seq.
const SEQ_BITS: u32 = 32;
/// The highest seq of a run.
pub(super) const SEQ_MAX: i64 = (1 << SEQ_BITS) - 1;
/// So many runs are named when a prefix fits several.
const NAMED: usize = 10;
/// So many of the newest runs are compared with a prefix that fits none.
const COMPARED: usize = 1_000;

/// Where the entry `seq` of the run with this number lies.
pub(super) fn place(number: i64, seq: i64) -> i64 {
    (number << SEQ_BITS) | seq
}

/// The one row about the journal itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    /// Sum over the definitions of the tables.
    pub(super) tables: i64,
    /// So many runs there are.
    pub(super) runs: i64,
    /// The number of the newest run.
    pub(super) last_run: i64,
    /// How often a failed write was recovered from.
    pub(super) recoveries: i64,
    sum: i64,
}

/// Reads the row about the journal itself.
pub(super) const META: &str =
    "SELECT tables, runs, last_run, recoveries, sum FROM meta WHERE one = 1";

impl Meta {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            tables: row.get(0)?,
            runs: row.get(1)?,
            last_run: row.get(2)?,
            recoveries: row.get(3)?,
            sum: row.get(4)?,
        })
    }

    /// Reads the row and checks it.
    pub(super) fn read(connection: &Connection, path: &Path) -> Result<Self, JournalError> {
        let meta = connection
            .prepare_cached(META)
            .and_then(|mut statement| statement.query_row([], Self::from_row))
            .map_err(|error| JournalError::sqlite(path, "read", Duration::ZERO, &error))?;
        if meta.sum != meta.computed() {
            return Err(JournalError::corrupt(
                path,
                "its head row is not what was written",
            ));
        }
        Ok(meta)
    }

    fn computed(&self) -> i64 {
        Sum::new(4)
            .int(self.tables)
            .int(self.runs)
            .int(self.last_run)
            .int(self.recoveries)
            .finish()
    }

    /// Writes the row with its sum.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        exec_to_done(
            connection,
            "UPDATE meta SET tables = ?1, runs = ?2, last_run = ?3, recoveries = ?4, sum = ?5 WHERE one = 1",
            params![
                self.tables,
                self.runs,
                self.last_run,
                self.recoveries,
                self.computed()
            ],
        )
    }
}

/// A run's row with what the journal itself needs of it.
#[derive(Debug, Clone)]
pub(super) struct RunRecord {
    pub(super) number: i64,
    /// There are at least so many entries.
    pub(super) entries: i64,
    pub(super) row: RunRow,
}

const RUN_COLUMNS: &str = "number, id, plan, version, environment, fingerprint, created_ms, updated_ms, entries, phase, outcome, sum";

impl RunRecord {
    pub(super) fn sum(&self) -> i64 {
        let row = &self.row;
        Sum::new(1)
            .int(self.number)
            .text(&row.id)
            .text(&row.plan)
            .text(&row.version)
            .text(&row.environment)
            .text(&row.fingerprint)
            .int(row.created_ms)
            .int(row.updated_ms)
            .int(self.entries)
            .maybe(row.phase.as_deref())
            .maybe(row.outcome.as_deref())
            .finish()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let record = Self {
            number: row.get(0)?,
            entries: row.get(8)?,
            row: RunRow {
                id: row.get(1)?,
                plan: row.get(2)?,
                version: row.get(3)?,
                environment: row.get(4)?,
                fingerprint: row.get(5)?,
                created_ms: row.get(6)?,
                updated_ms: row.get(7)?,
                phase: row.get(9)?,
                outcome: row.get(10)?,
            },
        };
        Ok((record, row.get(11)?))
    }

    /// Finds a run by its whole id.
    pub(super) fn find(
        connection: &Connection,
        path: &Path,
        run: &str,
    ) -> Result<Option<Self>, JournalError> {
        let sqlite =
            |error: rusqlite::Error| JournalError::sqlite(path, "read", Duration::ZERO, &error);
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?1");
        let mut statement = connection.prepare_cached(&sql).map_err(sqlite)?;
        let mut rows = statement.query([run]).map_err(sqlite)?;
        let Some(row) = rows.next().map_err(sqlite)? else {
            return Ok(None);
        };
        let (record, sum) = Self::from_row(row).map_err(sqlite)?;
        if sum != record.sum() || record.row.id != run {
            return Err(JournalError::corrupt(
                path,
                format!("the row of run {run} is not what was written"),
            ));
        }
        Ok(Some(record))
    }
}

/// The sum of an entry, which includes that of the entry before it (0 before the first).
pub(super) fn entry_sum(before: i64, place: i64, entry: &Entry) -> i64 {
    Sum::new(2)
        .int(before)
        .int(place)
        .int(entry.at_ms)
        .text(&entry.kind)
        .maybe(entry.call.as_deref())
        .text(&entry.data)
        .finish()
}

/// The sum of what is frozen with a run.
pub(super) fn frozen_sum(number: i64, data: &str) -> i64 {
    Sum::new(3).int(number).text(data).finish()
}

/// A connection together with the name of its file, for messages.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) connection: &'a Connection,
    pub(super) path: &'a Path,
}

impl View<'_> {
    fn sqlite(&self, error: &rusqlite::Error) -> JournalError {
        JournalError::sqlite(self.path, "read", Duration::ZERO, error)
    }

    fn run(&self, run: &str) -> Result<RunRecord, JournalError> {
        RunRecord::find(self.connection, self.path, run)?.ok_or_else(|| JournalError::NoSuchRun {
            path: self.path.to_owned(),
            run: run.to_owned(),
        })
    }

    /// The entries of a run from `from` on (1 is the first).
    pub(super) fn entries(&self, run: &str, from: u64) -> Result<Vec<StoredEntry>, JournalError> {
        let record = self.run(run)?;
        let from = i64::try_from(from).unwrap_or(SEQ_MAX).clamp(1, SEQ_MAX);
        let mut found = Vec::new();
        let outcome = self.collect(&record, from, &mut found);
        let end = found
            .last()
            .map_or(from - 1, |last: &StoredEntry| signed(last.seq));
        let detail = match outcome {
            Ok(()) if end >= record.entries => return Ok(found),
            Ok(()) => format!(
                "{} entries were written and {end} are there",
                record.entries
            ),
            Err(Broken::Row(detail)) => detail,
            Err(Broken::Sqlite(error)) => match self.sqlite(&error) {
                JournalError::Corrupt { detail, .. } => detail,
                other => return Err(other),
            },
        };
        Err(JournalError::Damaged {
            path: self.path.to_owned(),
            run: run.to_owned(),
            good: unsigned(end),
            detail,
        })
    }

    fn collect(
        &self,
        record: &RunRecord,
        from: i64,
        found: &mut Vec<StoredEntry>,
    ) -> Result<(), Broken> {
        // The entry before the first wanted one is read for its sum.
        let mut statement = self.connection.prepare_cached(
            "SELECT place, at_ms, kind, call, data, sum FROM entries WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
        )?;
        let mut rows = statement.query([
            place(record.number, from - 1),
            place(record.number, SEQ_MAX),
        ])?;
        let mut expected = if from == 1 { 1 } else { from - 1 };
        let mut before = 0;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            if at != place(record.number, expected) {
                return Err(Broken::Row(format!("entry {expected} is missing")));
            }
            let sum: i64 = row.get(5)?;
            if expected >= from {
                let entry = Entry {
                    at_ms: row.get(1)?,
                    kind: row.get(2)?,
                    call: row.get(3)?,
                    data: row.get(4)?,
                };
                if sum != entry_sum(before, at, &entry) {
                    return Err(Broken::Row(format!(
                        "entry {expected} is not what was written"
                    )));
                }
                found.push(StoredEntry {
                    seq: unsigned(expected),
                    entry,
                });
            }
            before = sum;
            expected += 1;
        }
        Ok(())
    }

    /// What was frozen with the run.
    pub(super) fn frozen(&self, run: &str) -> Result<serde_json::Value, JournalError> {
        let record = self.run(run)?;
        let broken = || {
            JournalError::corrupt(
                self.path,
                format!("what was frozen with run {run} is not what was written"),
            )
        };
        let (data, sum): (String, i64) = self
            .connection
            .prepare_cached("SELECT data, sum FROM frozen WHERE run = ?1")
            .and_then(|mut statement| {
                statement.query_row([record.number], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .map_err(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => broken(),
                error => self.sqlite(&error),
            })?;
        if sum != frozen_sum(record.number, &data) {
            return Err(broken());
        }
        serde_json::from_str(&data).map_err(|_| broken())
    }

    /// The runs that the filter keeps, the newest first.
    pub(super) fn runs(&self, filter: &Filter) -> Result<Vec<RunRow>, JournalError> {
        connection::snapshot(
            self.connection,
            |error| self.sqlite(&error),
            || self.list(filter),
        )
    }

    fn list(&self, filter: &Filter) -> Result<Vec<RunRow>, JournalError> {
        let meta = Meta::read(self.connection, self.path)?;
        let sqlite = |error: rusqlite::Error| self.sqlite(&error);
        // Not by the index: the rows themselves are counted.
        let count: i64 =
            connection::value(self.connection, "SELECT count(*) FROM runs NOT INDEXED")
                .map_err(sqlite)?;
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs ORDER BY number DESC");
        let mut statement = self.connection.prepare_cached(&sql).map_err(sqlite)?;
        let mut rows = statement.query([]).map_err(sqlite)?;
        let mut found = Vec::new();
        let mut newest = None;
        let limit = filter.limit.unwrap_or(usize::MAX);
        while let Some(row) = rows.next().map_err(sqlite)? {
            let (record, sum) = RunRecord::from_row(row).map_err(sqlite)?;
            if sum != record.sum() {
                return Err(JournalError::corrupt(
                    self.path,
                    format!("the row of run {} is not what was written", record.number),
                ));
            }
            newest.get_or_insert(record.number);
            if found.len() >= limit {
                break;
            }
            if filter.keeps(&record.row) {
                found.push(record.row);
            }
        }
        if count != meta.runs || newest.is_some_and(|newest| newest != meta.last_run) {
            return Err(JournalError::corrupt(
                self.path,
                format!("{} runs were written and {count} are there", meta.runs),
            ));
        }
        Ok(found)
    }

    /// The one run whose id begins so.
    pub(super) fn find(&self, prefix: &str) -> Result<String, FindError> {
        let wanted = prefix.trim().to_ascii_lowercase();
        if RunRecord::find(self.connection, self.path, &wanted)?.is_some() {
            return Ok(wanted);
        }
        let ids: Vec<String> = self
            .runs(&Filter::default())?
            .into_iter()
            .map(|row| row.id)
            .collect();
        let mut fitting: Vec<String> = ids
            .iter()
            .filter(|id| id.starts_with(&wanted))
            .cloned()
            .collect();
        if fitting.len() == 1 && !wanted.is_empty() {
            return Ok(fitting.remove(0));
        }
        if fitting.is_empty() || wanted.is_empty() {
            let nearest = nearest(&wanted, &ids);
            return Err(FindError::None {
                prefix: prefix.to_owned(),
                nearest,
            });
        }
        fitting.truncate(NAMED);
        Err(FindError::Ambiguous {
            prefix: prefix.to_owned(),
            runs: fitting,
        })
    }
}

enum Broken {
    Row(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The newest run for nothing typed, one that ends so (the random part is what people remember),
/// or the one whose beginning is most like what was typed.
fn nearest(wanted: &str, ids: &[String]) -> Option<String> {
    let recent = &ids[..ids.len().min(COMPARED)];
    if wanted.is_empty() {
        return recent.first().cloned();
    }
    if let Some(id) = recent.iter().find(|id| id.ends_with(wanted)) {
        return Some(id.clone());
    }
    let length = wanted.chars().count();
    recent
        .iter()
        .map(|id| {
            let beginning: String = id.chars().take(length).collect();
            (strsim::normalized_levenshtein(wanted, &beginning), id)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        // The first of equals is the newest; max_by would take the last.
        .rev()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, id)| id.clone())
}

pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}
