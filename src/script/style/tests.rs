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
fn each_bracket_that_begins_a_line_closes_its_own_block() {
    check(
        "fn f(a) {\nfor b in a {\nif b {\ng(b, || {\nh()\n});\n}\n}\n}\n",
        "fn f(a) {\n    for b in a {\n        if b {\n            g(b, || {\n                h()\n            });\n        }\n    }\n}\n",
    );
    check(
        "f([#{\na: 1,\n}]);\ng(#{\na: [\n1,\n],\n});\n",
        "f([#{\n    a: 1,\n}]);\ng(#{\n    a: [\n        1,\n    ],\n});\n",
    );
}

#[test]
fn a_block_behind_a_head_of_several_lines_stands_alone() {
    let long = "fn f() {\n    if a\n        || b\n    {\n        c();\n    }\n    -1\n}\n";
    check(long, long);
    check("if f(\na\n)\n{\nb\n}\n", "if f(\n    a\n) {\n    b\n}\n");
    let body = "verify(\"a\", ||\n    b(c)\n);\n";
    check(body, body);
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

/// Scripts that use all of the language between them, in no style at all.
fn scripts() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("tests/style"), &mut paths);
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a script");
        (path.display().to_string(), text)
    };
    let all: Vec<(String, String)> = paths.into_iter().map(read).collect();
    assert!(all.len() >= 15, "only {} scripts were found", all.len());
    all
}

#[test]
fn the_scripts_use_all_of_the_language() {
    let all: String = scripts().into_iter().map(|(_, text)| text).collect();
    let seen: std::collections::HashSet<&str> = tokens::tokens(&all)
        .iter()
        .filter(|token| {
            matches!(
                token.kind,
                tokens::Kind::Word | tokens::Kind::Sign | tokens::Kind::Open
            )
        })
        .map(|token| token.text)
        .collect();
    const ALL: &str = "let const if else switch do while until loop for in continue break return throw try \
        catch import export as global private fn this true false type_of \
        + - * / % ** << >> & | ^ == != < <= > >= && || ! !in ?? = += -= *= /= %= **= <<= >>= &= |= ^= \
        .. ..= . ?. :: => : ; , _ ( [ ?[ { #{";
    let missing: Vec<&str> = ALL
        .split_whitespace()
        .filter(|word| !seen.contains(word))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn scripts_in_no_style_keep_their_meaning_and_find_one() {
    for (name, text) in scripts() {
        let once = styled(&name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_ne!(once, text, "{name} is in style already");
        assert_eq!(
            styled(&name, &once).expect("it can be parsed"),
            once,
            "{name}"
        );
    }
}

/// A source with other space between its tokens, where there is any; `lines`: other line breaks too.
fn mangled(text: &str, lines: bool, mut random: impl FnMut(usize) -> usize) -> String {
    let mut out = String::new();
    let mut before: Option<tokens::Token<'_>> = None;
    for token in tokens::tokens(text) {
        let is_behind_comment = before.is_some_and(|b| b.kind == tokens::Kind::LineComment);
        // A text that goes on in further lines is moved with its begin.
        let is_long = token.text.contains('\n');
        if token.breaks > 0 {
            let breaks = match lines {
                true if !is_behind_comment && !is_long && !token.is_comment() => random(3),
                _ => token.breaks,
            };
            out.push_str(&"\n".repeat(breaks));
            let indent = if is_long { token.column } else { random(9) };
            out.push_str(&" ".repeat(indent + usize::from(breaks == 0)));
        } else if token.is_apart && before.is_some() {
            out.push_str(if is_long {
                " "
            } else {
                [" ", "  ", "\t", " \t  "][random(4)]
            });
        }
        out.push_str(token.text);
        before = Some(token);
    }
    out
}

#[test]
fn space_between_tokens_does_not_matter() {
    let scripts = scripts();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1_000_003).expect("small") % below
    };
    for (name, text) in &scripts {
        let style = styled(name, text).expect("it can be parsed");
        let is_plain = !tokens::tokens(text)
            .iter()
            .any(|token| token.text.contains('\n'));
        for _ in 0..20 {
            let other = mangled(text, false, &mut random);
            let once =
                styled(name, &other).unwrap_or_else(|error| panic!("{name}: {error}\n{other}"));
            if is_plain {
                assert_eq!(once, style, "{name}");
            }
            let other = mangled(text, true, &mut random);
            // Where a line breaks can be a part of the meaning: then there is nothing to keep.
            let once = match styled(name, &other) {
                Ok(once) => once,
                Err(StyleError::Changed) => panic!("{name} was changed:\n{other}"),
                Err(_) => continue,
            };
            assert_eq!(
                styled(name, &once).expect("it can be parsed"),
                once,
                "{name}\n{other}"
            );
        }
    }
}
