//! What our nodes do when a plan is followed: they are as in Rhai while all is known, and where it is
//! not they tell what is left out, and go on behind it.

use std::sync::Arc;

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, FnPtr, NativeCallContext,
    Position,
};

use super::performer::Performer;
use super::rewrite::{Site, Trees, node};
use super::unknown::{self, Lose, Unknown, find, text_of};

type Result = std::result::Result<Dynamic, Box<EvalAltResult>>;

/// The function that stands between Rhai's own ones and the closures that they ask.
const JUDGE: &str = "preview_judge";

/// Registers what the rewritten trees need.
pub fn register(engine: &mut Engine, trees: &Arc<Trees>, performer: &Arc<Performer>) {
    let nodes = Nodes {
        trees: trees.clone(),
        performer: performer.clone(),
    };
    let lose: Lose = {
        let performer = performer.clone();
        Arc::new(move |unknown, _| performer.lose(&unknown.depends_on, None))
    };
    unknown::register(engine, &trees.called, &lose);
    judge(engine, &lose);
    for key in KEYS {
        let nodes = nodes.clone();
        let handler = move |context: &mut EvalContext, inputs: &[Expression], state: &Dynamic| {
            nodes.evaluate(key, context, inputs, state)
        };
        // Fails only where the tree is not interpreted.
        let _ = engine.register_custom_syntax_handler(*key, false, handler);
    }
}

const KEYS: &[&str] = &[
    node::TEXT,
    node::IF,
    node::SUBJECT,
    node::SWITCH,
    node::WHILE,
    node::UNTIL,
    node::EACH,
    node::LOOP,
    node::LEFT,
    node::AND,
    node::OR,
    node::COALESCE,
    node::OPERATE,
    node::INDEX,
    node::CALL,
    node::CAUGHT,
    node::PREDICATE,
    node::BODY,
];

/// Rhai's own functions take an answer that is neither true nor false for a no. So they ask this.
fn judge(engine: &mut Engine, lose: &Lose) {
    let ask = |lose: &Lose, context: &NativeCallContext, pointer: FnPtr, args: Vec<Dynamic>| {
        let value: Dynamic = pointer.call_within_context(context, args)?;
        match value.read_lock::<Unknown>() {
            Some(unknown) => Err(lose(&unknown, context.call_position())),
            None => Ok(value.clone()),
        }
    };
    let one = lose.clone();
    engine.register_fn(
        JUDGE,
        move |context: NativeCallContext, pointer: FnPtr, a: Dynamic| -> Result {
            ask(&one, &context, pointer, vec![a])
        },
    );
    let two = lose.clone();
    engine.register_fn(
        JUDGE,
        move |context: NativeCallContext, pointer: FnPtr, a: Dynamic, b: Dynamic| -> Result {
            ask(&two, &context, pointer, vec![a, b])
        },
    );
}

#[derive(Clone)]
struct Nodes {
    trees: Arc<Trees>,
    performer: Arc<Performer>,
}

fn evaluated(context: &mut EvalContext, inputs: &[Expression], at: usize) -> Result {
    match inputs.get(at) {
        Some(input) => Ok(context.eval_expression_tree(input)?.flatten()),
        None => Ok(Dynamic::UNIT),
    }
}

/// The error that Rhai gives for a condition that is neither true nor false.
fn no_bool(value: &Dynamic, pos: Position) -> Box<EvalAltResult> {
    let name = value.type_name().to_owned();
    EvalAltResult::ErrorMismatchDataType("bool".into(), name, pos).into()
}

impl Nodes {
    fn evaluate(
        &self,
        key: &str,
        context: &mut EvalContext,
        inputs: &[Expression],
        state: &Dynamic,
    ) -> Result {
        if key == node::BODY {
            return self.body(context, inputs);
        }
        let site = state
            .as_int()
            .ok()
            .and_then(|n| self.trees.sites.get(usize::try_from(n).ok()?));
        let Some(site) = site else {
            return Ok(Dynamic::UNIT);
        };
        // A handler is told when what it handles is over, and stands before it.
        if key != node::CAUGHT {
            self.performer.stand_at(site.pos);
        }
        match key {
            node::TEXT => text(context, inputs),
            node::IF => self.decide(context, inputs, site),
            node::SUBJECT => {
                let value = evaluated(context, inputs, 0)?;
                match find(&value) {
                    // Caught by the switch around it.
                    Some(_) => Err(EvalAltResult::ErrorTerminated(value, site.pos).into()),
                    None => Ok(value),
                }
            }
            node::SWITCH => self.switch(context, inputs, site),
            node::WHILE => self.goes_on(context, inputs, site, false),
            node::UNTIL => self.goes_on(context, inputs, site, true),
            node::EACH => {
                let value = evaluated(context, inputs, 0)?;
                let unknown = value.read_lock::<Unknown>().map(|u| u.clone());
                Ok(match unknown {
                    Some(unknown) => {
                        self.left_out(context, site, &unknown);
                        Array::new().into()
                    }
                    None => value,
                })
            }
            node::LOOP => {
                self.performer.enter_loop();
                let result = evaluated(context, inputs, 0);
                if let Some(depends_on) = self.performer.leave_loop() {
                    forget(context, site, &Unknown::of(&depends_on));
                }
                result
            }
            node::LEFT => Ok(self.performer.has_left_loop()?.into()),
            node::AND => self.in_turn(context, inputs, site, false),
            node::OR => self.in_turn(context, inputs, site, true),
            node::COALESCE => self.coalesce(context, inputs, site),
            node::OPERATE => operate(context, inputs, site),
            node::INDEX => {
                let value = evaluated(context, inputs, 0)?;
                match find(&value) {
                    Some(unknown) => Err(self.performer.lose(&unknown.depends_on, Some(site.pos))),
                    None => Ok(value),
                }
            }
            node::CALL => evaluated(context, inputs, 0),
            node::CAUGHT => {
                self.performer.tell_handler(site);
                Ok(Dynamic::UNIT)
            }
            node::PREDICATE => {
                let value = evaluated(context, inputs, 0)?;
                let judge = value.is_fnptr().then(|| FnPtr::new(JUDGE)).transpose()?;
                Ok(match judge {
                    Some(mut judge) => {
                        judge.set_curry([value]);
                        judge.into()
                    }
                    None => value,
                })
            }
            _ => Ok(Dynamic::UNIT),
        }
    }

    fn body(&self, context: &mut EvalContext, inputs: &[Expression]) -> Result {
        let number = inputs.first().map(|input| match input.as_ref() {
            Expr::IntegerConstant(n, _) => *n,
            _ => -1,
        });
        let body = number
            .and_then(|n| usize::try_from(n).ok())
            .and_then(|n| self.trees.bodies.get(n));
        let Some(body) = body else {
            return Ok(Dynamic::UNIT);
        };
        self.performer.enter(&body.source, &body.name);
        let result = context.eval_expression_tree(&Expression::from(&body.block));
        // A script that can't be followed any further ends where it stands.
        if self.performer.is_lost() {
            return result;
        }
        match self.performer.leave() {
            Some(depends_on) => {
                if body.changes_others {
                    self.performer.doubt_all(&depends_on);
                }
                match result {
                    // Whatever it comes to, a value or a failure, it may have returned another before.
                    Err(error)
                        if !matches!(*error, EvalAltResult::Return(..))
                            && !error.is_catchable() =>
                    {
                        Err(error)
                    }
                    _ => Ok(Dynamic::from(Unknown::of(&depends_on))),
                }
            }
            None => result,
        }
    }

    fn decide(&self, context: &mut EvalContext, inputs: &[Expression], site: &Site) -> Result {
        let value = evaluated(context, inputs, 0)?;
        if let Some(unknown) = find(&value) {
            self.left_out(context, site, &unknown);
            return Ok(Dynamic::from(unknown.made()));
        }
        match value.as_bool() {
            Ok(true) => evaluated(context, inputs, 1),
            Ok(false) => evaluated(context, inputs, 2),
            Err(_) => Err(no_bool(&value, site.pos)),
        }
    }

    fn switch(&self, context: &mut EvalContext, inputs: &[Expression], site: &Site) -> Result {
        match evaluated(context, inputs, 0) {
            Err(error) => match *error {
                EvalAltResult::ErrorTerminated(ref value, _) => {
                    let unknown = value.read_lock::<Unknown>().map(|u| u.clone());
                    let Some(unknown) = unknown else {
                        return Err(error);
                    };
                    self.left_out(context, site, &unknown);
                    Ok(Dynamic::from(unknown.made()))
                }
                _ => Err(error),
            },
            ok => ok,
        }
    }

    /// The condition of a loop.
    fn goes_on(
        &self,
        context: &mut EvalContext,
        inputs: &[Expression],
        site: &Site,
        until: bool,
    ) -> Result {
        let value = evaluated(context, inputs, 0)?;
        match find(&value) {
            Some(unknown) => {
                self.left_out(context, site, &unknown);
                Ok(until.into())
            }
            None => Ok(value),
        }
    }

    fn in_turn(
        &self,
        context: &mut EvalContext,
        inputs: &[Expression],
        site: &Site,
        settles: bool,
    ) -> Result {
        for at in 0..inputs.len() {
            let value = evaluated(context, inputs, at)?;
            if let Some(unknown) = find(&value) {
                self.left_out(context, site, &unknown);
                return Ok(Dynamic::from(unknown.made()));
            }
            match value.as_bool() {
                Ok(answer) if answer == settles => return Ok(settles.into()),
                Ok(_) => {}
                Err(_) => return Err(no_bool(&value, site.pos)),
            }
        }
        Ok((!settles).into())
    }

    fn coalesce(&self, context: &mut EvalContext, inputs: &[Expression], site: &Site) -> Result {
        let mut value = Dynamic::UNIT;
        for at in 0..inputs.len() {
            value = evaluated(context, inputs, at)?;
            if let Some(unknown) = value.read_lock::<Unknown>().map(|u| u.clone()) {
                self.left_out(context, site, &unknown);
                return Ok(Dynamic::from(unknown.made()));
            }
            if !value.is_unit() {
                break;
            }
        }
        Ok(value)
    }

    /// It is not known whether this part of the plan is executed: tells it from the text, and forgets
    /// what it may change.
    fn left_out(&self, context: &mut EvalContext, site: &Site, unknown: &Unknown) {
        self.performer.tell_text(site, &unknown.depends_on);
        forget(context, site, unknown);
    }
}

/// What may have been changed here is not known.
fn forget(context: &mut EvalContext, site: &Site, unknown: &Unknown) {
    let scope = context.scope_mut();
    for name in &site.changes {
        if !scope.contains(name) || scope.is_constant(name) == Some(true) {
            continue;
        }
        let Some(value) = scope.get_mut(name) else {
            continue;
        };
        let forgotten = Dynamic::from(unknown.made());
        if value.is_shared() {
            if let Some(mut inner) = value.write_lock::<Dynamic>() {
                *inner = forgotten;
            }
        } else {
            *value = forgotten;
        }
    }
}

/// A text in back-ticks.
fn text(context: &mut EvalContext, inputs: &[Expression]) -> Result {
    let mut text = String::new();
    let mut first: Option<Unknown> = None;
    let mut known: Vec<Expr> = Vec::new();
    for input in inputs {
        let value = context.eval_expression_tree(input)?.flatten();
        match find(&value) {
            Some(unknown) => {
                text.push_str(&text_of(&value));
                first.get_or_insert(unknown);
            }
            None => {
                text.push_str(&value.to_string());
                known.push(Expr::from_dynamic(value, input.position()));
            }
        }
    }
    match first {
        Some(unknown) => Ok(Dynamic::from(unknown.in_text(&text))),
        // Made by Rhai itself, with its limits.
        None => {
            let parts = Expr::InterpolatedString(known.into_iter().collect(), Position::NONE);
            context.eval_expression_tree(&Expression::from(&parts))
        }
    }
}

/// An operator.
fn operate(context: &mut EvalContext, inputs: &[Expression], site: &Site) -> Result {
    let mut values = Vec::with_capacity(inputs.len());
    for input in inputs {
        values.push((
            context.eval_expression_tree(input)?.flatten(),
            input.position(),
        ));
    }
    let Some(mut call) = site.call.clone() else {
        return Ok(Dynamic::UNIT);
    };
    if let Some(unknown) = values.iter().find_map(|(value, _)| find(value)) {
        let is_text = call.name == "+" && values.iter().any(|(value, _)| value.is_string());
        if is_text {
            let text: String = values.iter().map(|(value, _)| text_of(value)).collect();
            return Ok(Dynamic::from(unknown.in_text(&text)));
        }
        return Ok(Dynamic::from(unknown.made()));
    }
    call.args = values
        .into_iter()
        .map(|(value, pos)| Expr::from_dynamic(value, pos))
        .collect();
    let operation = Expr::FnCall(Box::new(call), site.pos);
    context.eval_expression_tree(&Expression::from(&operation))
}
