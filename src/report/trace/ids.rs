//! The ids of traces and spans. They follow from the run, so that whoever takes the run up goes on
//! in the same trace.

use sha2::{Digest as _, Sha256};

use crate::words::event::{Event, Stamped};

/// The ids of one run's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    seed: Vec<u8>,
    /// The trace.
    pub trace: [u8; 16],
    /// The span that the run is part of, if it is part of another trace.
    pub parent: Option<[u8; 8]>,
}

impl Ids {
    /// The ids of the run whose first event this is.
    ///
    /// A run's id is short and made for people: two machines may well have the same. So the machine
    /// and the moment belong to it.
    #[must_use]
    pub fn of_run(first: &Stamped) -> Self {
        let mut hash = Sha256::new_with_prefix(b"deployrun trace\n");
        let mut add = |text: &str| {
            hash.update(text.as_bytes());
            hash.update(b"\n");
        };
        add(&first.run);
        add(&first.at_ms.to_string());
        let mut parent = None;
        if let Event::RunStarted {
            by,
            boot_id,
            trace_parent,
            ..
        } = &first.event
        {
            add(&by.host);
            add(&by.pid.to_string());
            add(boot_id);
            parent = trace_parent.as_deref().and_then(TraceParent::parse);
        }
        let seed = hash.finalize().to_vec();
        let mut trace = [0; 16];
        trace.copy_from_slice(&seed[..16]);
        Self {
            seed,
            trace: parent.as_ref().map_or(trace, |parent| parent.trace),
            parent: parent.map(|parent| parent.span),
        }
    }

    /// The id of the span of this name.
    #[must_use]
    pub fn span(&self, name: &str) -> [u8; 8] {
        let hash = Sha256::new_with_prefix(&self.seed)
            .chain_update(name.as_bytes())
            .finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        id
    }
}

/// The header `traceparent` of W3C Trace Context, as the variable `TRACEPARENT` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    /// Is the trace kept?
    pub sampled: bool,
}

impl TraceParent {
    /// Reads `00-TRACE-SPAN-FLAGS`; nothing for what is not one, which is to be taken as absent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = bytes::<1>(parts.next()?)?;
        let trace = bytes::<16>(parts.next()?)?;
        let span = bytes::<8>(parts.next()?)?;
        let flags = bytes::<1>(parts.next()?)?;
        // A later version may have more parts; this one has not.
        let is_whole = version[0] != 0 || parts.next().is_none();
        let is_known = version[0] != 0xff && trace != [0; 16] && span != [0; 8];
        (is_whole && is_known).then_some(Self {
            trace,
            span,
            sampled: flags[0] & 1 == 1,
        })
    }
}

/// Bytes in lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut found = [0; N];
    for (n, byte) in found.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::event::Actor;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn first(host: &str, trace_parent: Option<&str>) -> Stamped {
        Stamped {
            run: "20260321-2100-0007".into(),
            seq: 1,
            at_ms: 1,
            event: Event::RunStarted {
                by: Actor {
                    user: "anna".into(),
                    host: host.into(),
                    pid: 7,
                },
                deployrun: String::new(),
                plan: String::new(),
                fingerprint: String::new(),
                args: serde_json::Map::new(),
                boot_id: "b".into(),
                clock_injected: false,
                approved: None,
                trace_parent: trace_parent.map(str::to_owned),
            },
        }
    }

    #[test]
    fn a_run_has_the_same_ids_whoever_looks() {
        let ids = Ids::of_run(&first("a", None));
        assert_eq!(ids, Ids::of_run(&first("a", None)));
        assert_ne!(ids.trace, Ids::of_run(&first("b", None)).trace);
        assert_eq!(ids.span("step 8 1"), ids.span("step 8 1"));
        assert_ne!(ids.span("step 8 1"), ids.span("step 8 2"));
        assert_eq!(ids.parent, None);
    }

    #[test]
    fn a_run_is_part_of_the_trace_that_it_was_started_in() {
        let ids = Ids::of_run(&first("a", Some(PARENT)));
        assert_eq!(hex(&ids.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(ids.parent.map(|id| hex(&id)).unwrap(), "00f067aa0ba902b7");
        assert_ne!(
            ids.span("run"),
            Ids::of_run(&first("b", Some(PARENT))).span("run")
        );
    }

    #[test]
    fn what_is_no_parent_is_none() {
        assert!(TraceParent::parse(PARENT).unwrap().sampled);
        assert!(
            !TraceParent::parse(&PARENT.replace("-01", "-00"))
                .unwrap()
                .sampled
        );
        assert!(TraceParent::parse(&format!("01{}-more", &PARENT[2..])).is_some());
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-ä4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }
}
