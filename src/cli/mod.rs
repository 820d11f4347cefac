//! temp
pub fn main() -> std::process::ExitCode {
    let path = std::env::args().nth(1).unwrap_or_default();
    let plan = match crate::Plan::read(path.as_ref()) { Ok(p) => p, Err(e) => { eprintln!("{e}"); return 1.into(); } };
    struct R;
    impl crate::Report for R {
        fn event(&mut self, e: &crate::Stamped) { println!("{}", serde_json::to_string(e).unwrap()); }
        fn unwritten(&mut self, e: &crate::Stamped) { eprintln!("{}", serde_json::to_string(e).unwrap()); }
    }
    match crate::Runner::new(std::env::var("DEPLOYRUN_STATE").unwrap()).handle_signals().report(Box::new(R)).run(plan) {
        Ok(s) => s.exit_status().into(),
        Err(e) => { eprintln!("{e:?}"); 1.into() }
    }
}
