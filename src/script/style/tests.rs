use super::*;

#[track_caller]
fn check(source: &str, expected: &str) {
    let text = styled("p", source).unwrap_or_else(|found| panic!("{source}\n{found:?}"));
    assert_eq!(text, expected);
    let again = styled("p", &text).unwrap_or_else(|found| panic!("{text}\n{found:?}"));
    assert_eq!(again, text, "a second time");
}

#[test]
fn spaces_stand_where_they_should() {
    check("let x=1+2*-3;\n", "let x = 1 + 2 * -3;\n");
    check(
        "run( [ \"a\" ,\"b\" ],#{timeout:\"1s\" , back_out:()} ) ;\n",
        "run([\"a\", \"b\"], #{ timeout: \"1s\", back_out: () });\n",
    );
    check(
        "check(\"a\",||!f( x )||y);\n",
        "check(\"a\", || !f(x) || y);\n",
    );
    check("let f=|a,b|a|b;\n", "let f = |a, b| a | b;\n");
    check("for i in 0 .. 10{f(i)}\n", "for i in 0..10 { f(i) }\n");
    check("if(a){b}else{c}\n", "if (a) { b } else { c }\n");
    check(
        "fn f(a,b){a.b[0]?.c??d}\n",
        "fn f(a, b) { a.b[0]?.c ?? d }\n",
    );
    check("m :: f( 1 );let e=#{ };\n", "m::f(1); let e = #{};\n");
    check(
        "switch x{1 if y=>a,_=>b}\n",
        "switch x { 1 if y => a, _ => b }\n",
    );
    check(
        "let a = -x; let b = a -1; let c = [- 1];\n",
        "let a = -x; let b = a - 1; let c = [- 1];\n",
    );
}

#[test]
fn lines_are_the_authors_and_indents_are_ours() {
    check(
        "step(\"a\",#{timeout:\"1m\"},||{\nrun(\"x\");\n// why\n      run([\n\"a\",\n\"b\"\n]);\n});\n",
        "step(\"a\", #{ timeout: \"1m\" }, || {\n    run(\"x\");\n    // why\n    run([\n        \"a\",\n        \"b\",\n    ]);\n});\n",
    );
    check(
        "let x = a\n+ b\n.c();\nif a\n{\nb\n}\nelse\n{\nc\n}\n",
        "let x = a\n    + b\n    .c();\nif a {\n    b\n} else {\n    c\n}\n",
    );
    check(
        "plan(#{\nname: \"a\", // what\nenvironment: \"b\" // where\n});\n\n\n\nf();\n",
        "plan(#{\n    name: \"a\",          // what\n    environment: \"b\",   // where\n});\n\nf();\n".replace("          //", "         //").replace("   // where", "  // where").as_str(),
    );
    check("f(|| {\n\n    a\n\n});", "f(|| {\n    a\n});\n");
    check("let x = f(\n1,\n2\n);\n", "let x = f(\n    1,\n    2\n);\n");
    check("{\n// only\n}\n", "{\n    // only\n}\n");
    check(
        "fn f() {\na()\n// last\n}\n",
        "fn f() {\n    a()\n    // last\n}\n",
    );
}

#[test]
fn texts_and_comments_are_left_as_they_are() {
    check(
        "//! A plan.\nlet a = `x\n   y ${ b+1 }\n`;  /* c\n d */ f();\n",
        "//! A plan.\nlet a = `x\n   y ${ b+1 }\n`; /* c\n d */ f();\n",
    );
    check(
        "  let a = \"x \\\n             y\";\n",
        "let a = \"x \\\n           y\";\n",
    );
    check("", "");
    check("// a\n\n\n// b", "// a\n\n// b\n");
}

#[test]
fn what_cannot_be_parsed_is_left_alone() {
    let Err(StyleError::Syntax(found)) = styled("p", "let = 1;") else {
        panic!("it was parsed");
    };
    assert_eq!(found[0].place.to_string(), "p:1:5");
    let open = styled("p", "f(); /* x");
    assert!(matches!(open, Err(StyleError::OpenComment)), "{open:?}");
}

/// All plans and modules below a directory.
fn sources(dir: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rhai") {
            found.push(path);
        }
    }
}

#[test]
fn all_sources_of_this_house_keep_their_meaning() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for dir in ["examples", "stdlib", "tests", "fuzz/seeds"] {
        sources(&root.join(dir), &mut paths);
    }
    let mut styled_ones = 0;
    for path in &paths {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let once = match styled("p", &text) {
            Ok(once) => once,
            Err(StyleError::Syntax(_) | StyleError::OpenComment) => continue,
            Err(StyleError::Changed) => panic!("{} was changed", path.display()),
        };
        let twice = styled("p", &once).expect("it can be parsed");
        assert_eq!(once, twice, "{}", path.display());
        styled_ones += 1;
    }
    assert!(
        styled_ones > 200,
        "only {styled_ones} sources could be parsed"
    );
}
