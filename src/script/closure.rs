//! Closures that the host keeps: copied when they are handed over, callable later, on another
//! thread, with the names they knew.

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, Map, NativeCallContext};

/// A closure with the place it comes from.
#[derive(Clone, Debug)]
pub struct Closure {
    pointer: FnPtr,
    #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
    context: rhai::NativeCallContextStore,
}

impl Closure {
    /// Keeps `pointer`. What it captured is copied, so that neither a loop that goes on nor the
    /// closure itself changes it for the other.
    #[must_use]
    pub fn keep(context: &NativeCallContext, pointer: FnPtr) -> Self {
        #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
        Self {
            pointer: snapshot_pointer(pointer),
            context: context.store_data(),
        }
    }

    /// The name under which its body is found.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pointer.fn_name()
    }

    /// Calls it in `engine`. It is given `argument` if it takes one.
    pub fn call(
        &self,
        engine: &Engine,
        argument: Option<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
        let context = self.context.create_context(engine);
        call(&self.pointer, &context, argument)
    }
}

/// Calls a closure; it is given `argument` if it takes one.
pub fn call(
    pointer: &FnPtr,
    context: &NativeCallContext,
    argument: Option<Dynamic>,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let Some(argument) = argument else {
        return pointer.call_within_context(context, ());
    };
    match pointer.call_within_context(context, (argument,)) {
        Err(error) if is_missing(&error, pointer.fn_name()) => {
            pointer.call_within_context(context, ())
        }
        other => other,
    }
}

fn is_missing(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _)
        if signature.starts_with(name))
}

/// The same closure with copies of what it captured.
#[must_use]
pub fn snapshot_pointer(mut pointer: FnPtr) -> FnPtr {
    let copies: Vec<Dynamic> = pointer.iter_curry().cloned().map(snapshot).collect();
    pointer.set_curry(copies);
    pointer
}

fn snapshot(value: Dynamic) -> Dynamic {
    let value = value.flatten();
    if value.is_fnptr() {
        return match value.try_cast::<FnPtr>() {
            Some(pointer) => Dynamic::from(snapshot_pointer(pointer)),
            None => Dynamic::UNIT,
        };
    }
    if value.is_array() {
        let items = value.try_cast::<Array>().unwrap_or_default();
        return items.into_iter().map(snapshot).collect::<Array>().into();
    }
    if value.is_map() {
        let map = value.try_cast::<Map>().unwrap_or_default();
        return map
            .into_iter()
            .map(|(k, v)| (k, snapshot(v)))
            .collect::<Map>()
            .into();
    }
    value
}
