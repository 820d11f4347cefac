//! Random plans: a tree of calls, and the flat program that the model of a script thread runs.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::words::call::{BackOut, Command, Deed, Step, Undo, Watch};
use crate::words::header::Header;

use super::random::Random;

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
/// How often a step may be lost before it is not tried again.
pub(super) const UNKNOWN_MAX: u32 = 3;
/// How often in a row a step may come to nothing before it is not started again.
pub(super) const VOIDS_MAX: u32 = 3;

/// What undoes something, as the plan says it: for a closure, the program it runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum UndoPlan {
    Command,
    Closure(usize),
    Restore,
    Nothing,
}

impl UndoPlan {
    pub(super) fn undo(&self, title: &str) -> Undo {
        match self {
            Self::Command => Undo::Command(Command::Shell(format!("undo {title}"))),
            Self::Closure(_) => Undo::Closure,
            Self::Restore => Undo::Restore,
            Self::Nothing => Undo::Nothing,
        }
    }

    pub(super) fn program(&self) -> Option<usize> {
        match self {
            Self::Closure(program) => Some(*program),
            Self::Command | Self::Restore | Self::Nothing => None,
        }
    }
}

/// One instruction of a program.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// `plan(#{…})`.
    Header,
    Read {
        ms: u64,
    },
    Check {
        pass: u64,
        ms: u64,
    },
    Step {
        step: Box<Step>,
        closure: Option<usize>,
    },
    GroupBegin {
        title: String,
        timeout_ms: Option<u64>,
        retries: u32,
    },
    GroupEnd,
    Try {
        handler: usize,
    },
    TryEnd {
        to: usize,
    },
    /// Goes there if the last value read was odd.
    Branch {
        to: usize,
    },
    Jump {
        to: usize,
    },
    BackOut {
        back_out: BackOut,
        closure: Option<usize>,
    },
    Watch(Watch),
    Verify {
        name: String,
        within_ms: u64,
        every_ms: u64,
        pass: u64,
    },
    Soak {
        ms: u64,
    },
    Sleep {
        ms: u64,
    },
    Window(Option<String>),
    Approval {
        name: String,
        timeout_ms: Option<u64>,
    },
    NoReturn,
    Abort,
    Note,
    /// An error of the script itself.
    Raise,
}

#[derive(Clone, Debug)]
enum Node {
    One(Op),
    Group {
        title: String,
        timeout_ms: Option<u64>,
        retries: u32,
        body: Vec<Node>,
    },
    Try {
        body: Vec<Node>,
        handler: Vec<Node>,
    },
    If {
        odd: Vec<Node>,
        even: Vec<Node>,
    },
}

/// A plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) header: Header,
    /// The first is the plan itself, the others are closures that undo.
    pub(super) programs: Vec<Vec<Op>>,
    pub(super) override_window: Option<String>,
    pub(super) lock_wait_ms: u64,
    /// Percent of bad samples, by the name of the watch.
    pub(super) bad: BTreeMap<String, u64>,
}

/// How wild a plan and its world are; each seed has its own mixture.
#[derive(Clone, Debug)]
pub(super) struct Mood {
    pub(super) failures: u64,
    pub(super) hung: u64,
    pub(super) lost: u64,
    pub(super) void: u64,
    pub(super) survivors: u64,
    pub(super) crashes: u64,
    pub(super) journal: u64,
    pub(super) signals: u64,
    pub(super) clocks: u64,
    pub(super) bad_samples: u64,
    pub(super) bad_plan: u64,
    pub(super) windows: u64,
}

impl Mood {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            failures: random.pick(&[0, 5, 15, 40]),
            hung: random.pick(&[0, 0, 5, 20]),
            lost: random.pick(&[0, 0, 5, 20]),
            void: random.pick(&[0, 0, 5, 30]),
            survivors: random.pick(&[0, 0, 0, 30]),
            crashes: random.pick(&[0, 40, 70, 90]),
            journal: random.pick(&[0, 0, 0, 60]),
            signals: random.pick(&[0, 0, 50, 90]),
            clocks: random.pick(&[0, 0, 60]),
            bad_samples: random.pick(&[0, 2, 30]),
            bad_plan: random.pick(&[0, 0, 10]),
            windows: random.pick(&[0, 0, 50, 100]),
        }
    }
}

pub(super) fn generate(random: &mut Random, mood: &Mood, wall_ms: i64) -> Plan {
    let mut making = Making {
        random,
        mood,
        wall_ms,
        steps: 0,
        names: 0,
        programs: vec![Vec::new()],
        bad: BTreeMap::new(),
    };
    let header = making.header();
    let nodes = making.main();
    let mut main = Vec::new();
    flatten(&nodes, &mut main);
    let Making {
        random,
        mut programs,
        bad,
        ..
    } = making;
    programs[0] = main;
    let over = header.window.is_some() && random.chance(10);
    Plan {
        header,
        programs,
        override_window: over.then(|| "it must be now".to_owned()),
        lock_wait_ms: random.pick(&[0, 0, 30 * SECOND, 10 * MINUTE]),
        bad,
    }
}

struct Making<'r> {
    random: &'r mut Random,
    mood: &'r Mood,
    wall_ms: i64,
    steps: u32,
    names: u32,
    programs: Vec<Vec<Op>>,
    bad: BTreeMap<String, u64>,
}

impl Making<'_> {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind} {}", self.names)
    }

    fn window(&mut self) -> String {
        if self.random.chance(15) {
            return self
                .random
                .pick(&[
                    "daily 22:00-02:00 UTC",
                    "daily 00:00-24:00 UTC",
                    "Mon-Fri 09:00-17:00 Europe/Berlin",
                ])
                .to_owned();
        }
        let minutes: i64 = self.random.pick(&[-20, -1, -1, 0, 0, 5, 180]);
        let length: i64 = self.random.pick(&[20, 60, 300, 300]);
        let start = Timestamp::from_millisecond(self.wall_ms).unwrap_or_default();
        let start = start + SignedDuration::from_mins(minutes);
        let end = start + SignedDuration::from_mins(length);
        format!("{start}/{end}")
    }

    fn header(&mut self) -> Header {
        let mut header = Header {
            name: "shop".into(),
            ..Header::default()
        };
        if self.random.chance(self.mood.windows) {
            header.window = Some(self.window());
        }
        if self.random.chance(30) {
            header.expected_ms = Some(self.random.pick(&[5 * MINUTE, 30 * MINUTE]));
        }
        if self.random.chance(40) {
            header.deadline_ms = Some(self.random.pick(&[10 * MINUTE, HOUR, 3 * HOUR]));
        }
        if self.random.chance(50) {
            header.back_out_within_ms = Some(self.random.pick(&[MINUTE, 10 * MINUTE]));
        }
        if self.random.chance(20) {
            header.approvals = vec!["go".into()];
        }
        header
    }

    fn main(&mut self) -> Vec<Node> {
        let mut nodes = vec![Node::One(Op::Header)];
        for _ in 0..self.random.below(3) {
            let op = if self.random.chance(50) {
                self.read()
            } else {
                self.check()
            };
            nodes.push(Node::One(op));
        }
        if self.random.chance(50) {
            nodes.push(Node::One(self.watch()));
        }
        if self.random.chance(40) {
            let spec = self.random.chance(30).then(|| self.window());
            nodes.push(Node::One(Op::Window(spec)));
        }
        let length = self.random.between(2, 12);
        nodes.extend(self.body(length, 0));
        if self.random.chance(50) {
            nodes.push(Node::One(self.verify()));
        }
        if self.random.chance(25) {
            let ms = self.random.pick(&[SECOND, 2 * MINUTE]);
            nodes.push(Node::One(Op::Soak { ms }));
        }
        nodes
    }

    fn body(&mut self, length: u64, depth: u32) -> Vec<Node> {
        (0..length).map(|_| self.node(depth)).collect()
    }

    fn node(&mut self, depth: u32) -> Node {
        let roll = self.random.below(100);
        if depth < 3 && roll < 12 {
            let length = self.random.between(1, 3);
            return Node::Group {
                title: self.name("group"),
                timeout_ms: self
                    .random
                    .pick(&[None, None, Some(MINUTE), Some(20 * MINUTE)]),
                retries: self.random.pick(&[0, 1, 2]),
                body: self.body(length, depth + 1),
            };
        }
        if depth < 3 && roll < 22 {
            let (tried, caught) = (self.random.between(1, 3), self.random.below(3));
            let body = self.body(tried, depth + 1);
            return Node::Try {
                body,
                handler: self.body(caught, depth + 1),
            };
        }
        if depth < 3 && roll < 28 {
            let (odd, even) = (self.random.below(3), self.random.below(3));
            let odd = self.body(odd, depth + 1);
            return Node::If {
                odd,
                even: self.body(even, depth + 1),
            };
        }
        Node::One(match roll {
            28..=67 => self.step(true),
            68..=70 => self.read(),
            71..=73 => self.check(),
            74..=79 => self.back_out(),
            80..=83 => self.watch(),
            84..=86 => self.verify(),
            87..=88 => Op::Soak {
                ms: self.random.pick(&[SECOND, 2 * MINUTE]),
            },
            89..=91 => Op::Sleep {
                ms: self.random.pick(&[0, SECOND, 10 * MINUTE]),
            },
            92 => Op::Window(None),
            93..=94 => Op::Approval {
                name: self.random.pick(&["go", "dba"]).into(),
                timeout_ms: self.random.pick(&[None, Some(10 * MINUTE)]),
            },
            95 => Op::NoReturn,
            96 if self.random.chance(self.mood.bad_plan * 5) => Op::Abort,
            97 if self.random.chance(self.mood.bad_plan * 5) => Op::Raise,
            _ => Op::Note,
        })
    }

    fn read(&mut self) -> Op {
        Op::Read {
            ms: self.random.pick(&[0, 5, 5, 10 * SECOND]),
        }
    }

    fn check(&mut self) -> Op {
        let pass = if self.random.chance(self.mood.bad_plan * 3) {
            0
        } else {
            100
        };
        Op::Check {
            pass,
            ms: self.random.pick(&[0, 50]),
        }
    }

    fn verify(&mut self) -> Op {
        Op::Verify {
            name: self.name("verify"),
            within_ms: self.random.pick(&[0, 10 * SECOND, MINUTE]),
            every_ms: self.random.pick(&[10, SECOND, 20 * SECOND]).max(SECOND),
            pass: if self.random.chance(self.mood.bad_plan) {
                0
            } else {
                self.random.pick(&[100, 70, 20])
            },
        }
    }

    fn watch(&mut self) -> Op {
        let name = self.name("watch");
        self.bad.insert(name.clone(), self.mood.bad_samples);
        Op::Watch(Watch {
            name,
            every_ms: self
                .random
                .pick(&[20 * SECOND, 2 * MINUTE, 2 * MINUTE, 10 * MINUTE]),
            failures: self.random.pick(&[1, 2, 3]),
            grace_ms: self.random.pick(&[0, 0, MINUTE]),
            timeout_ms: self.random.pick(&[100, 10 * SECOND]),
            no_data_is_bad: self.random.chance(50),
            observe: self.random.chance(20),
        })
    }

    fn undo(&mut self) -> UndoPlan {
        match self.random.below(10) {
            0..=4 => UndoPlan::Command,
            5..=7 => {
                let mut ops = Vec::new();
                let length = self.random.below(5);
                let nodes: Vec<Node> = (0..length).map(|_| self.undoing()).collect();
                flatten(&nodes, &mut ops);
                self.programs.push(ops);
                UndoPlan::Closure(self.programs.len() - 1)
            }
            8 => UndoPlan::Restore,
            _ => UndoPlan::Nothing,
        }
    }

    /// A call of a closure that undoes.
    fn undoing(&mut self) -> Node {
        Node::One(match self.random.below(20) {
            0..=10 => self.step(false),
            11 => Op::Sleep {
                ms: self.random.pick(&[SECOND, 10 * MINUTE]),
            },
            12..=13 => self.read(),
            14 => Op::Note,
            15 => Op::Branch { to: usize::MAX },
            16 if self.random.chance(self.mood.bad_plan) => self.verify(),
            17 if self.random.chance(self.mood.bad_plan) => Op::Raise,
            _ => {
                let body = vec![Node::One(self.step(false))];
                return Node::Try {
                    body,
                    handler: vec![Node::One(Op::Note)],
                };
            }
        })
    }

    fn back_out_of(&mut self, title: &str) -> (BackOut, Option<usize>) {
        let undo = self.undo();
        let back_out = BackOut {
            undo: undo.undo(title),
            title: format!("undo {title}"),
            timeout_ms: self.random.pick(&[10 * SECOND, 5 * MINUTE]),
            about: self
                .random
                .pick(&[None, None, Some("a"), Some("b")])
                .map(Into::into),
            late: self.random.chance(30),
        };
        (back_out, undo.program())
    }

    fn back_out(&mut self) -> Op {
        let title = self.name("by hand");
        let (back_out, closure) = self.back_out_of(&title);
        Op::BackOut { back_out, closure }
    }

    fn step(&mut self, with_back_out: bool) -> Op {
        self.steps += 1;
        let title = format!("s{}", self.steps);
        let (mut back_out, mut closure) = (None, None);
        if with_back_out && self.random.chance(65) {
            let (undo, program) = self.back_out_of(&title);
            (back_out, closure) = (Some(undo), program);
        }
        let own = self.random.chance(6);
        let step = Box::new(Step {
            deed: if own {
                Deed::Own {
                    name: "own".into(),
                    args: Vec::new(),
                }
            } else {
                Deed::Command(Command::Shell(format!("do {title}")))
            },
            title,
            timeout_ms: self
                .random
                .pick(&[2 * SECOND, MINUTE, 10 * MINUTE, 2 * HOUR]),
            idle_timeout_ms: None,
            grace_ms: self.random.pick(&[SECOND, 30 * SECOND]),
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            user: None,
            codes: vec![0],
            retries: self.random.pick(&[0, 0, 1, 2]),
            retry_delay_ms: self.random.pick(&[0, SECOND, MINUTE]),
            abort_on: Vec::new(),
            idempotent: self.random.chance(30),
            max_output: 1 << 20,
            back_out,
        });
        Op::Step { step, closure }
    }
}

fn flatten(nodes: &[Node], ops: &mut Vec<Op>) {
    for node in nodes {
        match node {
            Node::One(Op::Branch { .. }) => {
                // Leaves out nothing, but makes what follows depend on what was read.
                let to = ops.len() + 1;
                ops.push(Op::Branch { to });
            }
            Node::One(op) => ops.push(op.clone()),
            Node::Group {
                title,
                timeout_ms,
                retries,
                body,
            } => {
                ops.push(Op::GroupBegin {
                    title: title.clone(),
                    timeout_ms: *timeout_ms,
                    retries: *retries,
                });
                flatten(body, ops);
                ops.push(Op::GroupEnd);
            }
            Node::Try { body, handler } => {
                let begin = ops.len();
                ops.push(Op::Try { handler: 0 });
                flatten(body, ops);
                let end = ops.len();
                ops.push(Op::TryEnd { to: 0 });
                ops[begin] = Op::Try { handler: ops.len() };
                flatten(handler, ops);
                ops[end] = Op::TryEnd { to: ops.len() };
            }
            Node::If { odd, even } => {
                let begin = ops.len();
                ops.push(Op::Branch { to: 0 });
                flatten(even, ops);
                let end = ops.len();
                ops.push(Op::Jump { to: 0 });
                ops[begin] = Op::Branch { to: ops.len() };
                flatten(odd, ops);
                ops[end] = Op::Jump { to: ops.len() };
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.header)?;
        writeln!(
            f,
            "override {:?}, lock wait {} ms, bad samples {:?}",
            self.override_window, self.lock_wait_ms, self.bad
        )?;
        for (number, ops) in self.programs.iter().enumerate() {
            writeln!(f, "program {number}:")?;
            for (at, op) in ops.iter().enumerate() {
                match op {
                    Op::Step { step, closure } => writeln!(
                        f,
                        "  {at}: step {}{} timeout {} grace {} retries {} after {}{} back-out {:?} closure {closure:?}",
                        step.title,
                        if matches!(step.deed, Deed::Own { .. }) {
                            " (own)"
                        } else {
                            ""
                        },
                        step.timeout_ms,
                        step.grace_ms,
                        step.retries,
                        step.retry_delay_ms,
                        if step.idempotent { " idempotent" } else { "" },
                        step.back_out.as_ref().map(|b| (&b.undo, b.timeout_ms)),
                    )?,
                    other => writeln!(f, "  {at}: {other:?}")?,
                }
            }
        }
        Ok(())
    }
}
