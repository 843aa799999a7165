//! Whether a user's SQL is one statement that only reads.
//!
//! The connection it runs on cannot change the database. This keeps away what would leave it all the same:
//! `VACUUM INTO` and `ATTACH` make files, some pragmas work while they are compiled, and the driver runs several
//! statements as one and never ends at a NUL. Splits SQL into words and signs as SQLite's tokenizer does, and
//! understands no more of it.

use crate::StoreErrorKind;

/// Pragmas that tell something about a table, an index or the whole database, by name or without.
const ABOUT: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that tell a value, and would set it if they were given one.
const VALUES: [&str; 18] = [
    "application_id",
    "auto_vacuum",
    "busy_timeout",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "journal_mode",
    "page_count",
    "page_size",
    "pragma_list",
    "schema_version",
    "synchronous",
    "user_version",
];

/// What a statement does, as far as its beginning tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// It reads, or is a `WITH` that the connection refuses if it writes.
    Reads,
    /// It may set something as soon as it is compiled.
    WritingPragma,
    /// It writes, or is no SQL.
    Other,
}

/// Looks at SQL that is to be one statement.
///
/// # Errors
/// SQL that is empty, holds a NUL or has more than one statement.
pub(crate) fn look_at(sql: &str) -> Result<Statement, StoreErrorKind> {
    if let Some(at) = sql.find('\0') {
        let before = &sql[..at];
        let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
        return Err(StoreErrorKind::QueryHasNul {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        });
    }
    let mut statements = Vec::new();
    let mut tokens = Vec::new();
    for token in Tokens(sql) {
        match token {
            Token::End if tokens.is_empty() => {}
            Token::End => statements.push(std::mem::take(&mut tokens)),
            token => tokens.push(token),
        }
    }
    if !tokens.is_empty() {
        statements.push(tokens);
    }
    match statements.as_slice() {
        [] => Err(StoreErrorKind::EmptyQuery),
        [statement] => Ok(kind(statement)),
        _ => Err(StoreErrorKind::SeveralQueries),
    }
}

fn kind(statement: &[Token<'_>]) -> Statement {
    let is = |at: usize, word: &str| {
        let token = statement.get(at);
        matches!(token, Some(Token::Word(own)) if own.eq_ignore_ascii_case(word))
    };
    if is(0, "explain") {
        let query_plan = is(1, "query") && is(2, "plan");
        return kind(&statement[if query_plan { 3 } else { 1 }..]);
    }
    if is(0, "pragma") {
        return match pragma_reads(&statement[1..]) {
            true => Statement::Reads,
            false => Statement::WritingPragma,
        };
    }
    match ["select", "values", "with"].iter().any(|word| is(0, word)) {
        true => Statement::Reads,
        false => Statement::Other,
    }
}

/// Whether `[SCHEMA.]NAME`, `NAME = VALUE` or `NAME(VALUE)` only reads.
fn pragma_reads(pragma: &[Token<'_>]) -> bool {
    let (name, value) = match pragma {
        [
            Token::Word(_),
            Token::Sign('.'),
            Token::Word(name),
            value @ ..,
        ] => (name, value),
        [Token::Word(name), value @ ..] => (name, value),
        _ => return false,
    };
    let among = |names: &[&str]| names.iter().any(|own| name.eq_ignore_ascii_case(own));
    among(&ABOUT) || value.is_empty() && among(&VALUES)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'s> {
    /// A keyword, name or number.
    Word(&'s str),
    /// A string, or a name in quotes.
    Quoted,
    /// The semicolon between statements.
    End,
    Sign(char),
}

/// The tokens of some SQL, without spaces and comments.
struct Tokens<'s>(&'s str);

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let sql = self.0;
            let first = sql.chars().next()?;
            let rest = &sql[first.len_utf8()..];
            // What is not ended ends with the text, and SQLite says what it thinks of it.
            let past = |end: &str, from: &'s str| {
                let end = from.find(end).map(|at| at + end.len());
                &from[end.unwrap_or(from.len())..]
            };
            let (token, left) = match first {
                // As SQLite: a NO-BREAK SPACE, say, is a part of a word.
                ' ' | '\t' | '\n' | '\r' | '\x0c' => (None, rest),
                '-' if rest.starts_with('-') => (None, past("\n", rest)),
                '/' if rest.starts_with('*') => (None, past("*/", &rest[1..])),
                ';' => (Some(Token::End), rest),
                '[' => (Some(Token::Quoted), past("]", rest)),
                // A doubled quote is one of the text: that text is then two tokens here, which tells the same.
                '\'' | '"' | '`' => {
                    let quote = &sql[..1];
                    (Some(Token::Quoted), past(quote, rest))
                }
                _ if is_of_a_word(first) => {
                    let end = sql.find(|sign| !is_of_a_word(sign));
                    let (word, left) = sql.split_at(end.unwrap_or(sql.len()));
                    (Some(Token::Word(word)), left)
                }
                sign => (Some(Token::Sign(sign)), rest),
            };
            self.0 = left;
            if token.is_some() {
                return token;
            }
        }
    }
}

fn is_of_a_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '_' | '$') || !sign.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_read_are_known_by_their_beginning() {
        for sql in [
            "SELECT 1",
            " -- a comment; with a semicolon\n/* and; one */ select 1 ; ; -- the end",
            "SELECT ';', \"a;b\", [c;d], `e;f`, 'it''s;'",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1)",
            "EXPLAIN SELECT 1",
            "explain query plan select 1",
            "PRAGMA table_info(runs)",
            "PRAGMA main.index_list = runs",
            "PRAGMA user_version",
        ] {
            assert_eq!(look_at(sql).unwrap(), Statement::Reads, "{sql}");
        }
        for sql in [
            "PRAGMA user_version = 9",
            "PRAGMA journal_mode(DELETE)",
            "PRAGMA main.journal_mode = DELETE",
            "PRAGMA \"user_version\" = 9",
            "PRAGMA wal_checkpoint",
            "PRAGMA",
            "EXPLAIN PRAGMA user_version = 9",
        ] {
            assert_eq!(look_at(sql).unwrap(), Statement::WritingPragma, "{sql}");
        }
        for sql in [
            "VACUUM INTO 'x.db'",
            "/* SELECT */ vacuum",
            "ATTACH 'x.db' AS x",
            "DETACH x",
            "EXPLAIN",
            "CREATE TEMP TABLE t (a)",
            "DELETE FROM runs",
            "BEGIN",
            "'SELECT' 1",
            "SELEKT 1",
            "\u{a0}SELECT 1",
        ] {
            assert_eq!(look_at(sql).unwrap(), Statement::Other, "{sql}");
        }
    }

    #[test]
    fn there_is_one_statement() {
        for sql in ["", " \n", ";", "-- nothing", "/* nothing", ";;"] {
            let error = look_at(sql).unwrap_err();
            assert!(matches!(error, StoreErrorKind::EmptyQuery), "{sql}");
        }
        for sql in [
            "SELECT 1; SELECT 2",
            "SELECT ';' ; x",
            "SELECT 1;\n-- more\nVALUES (2);",
        ] {
            let error = look_at(sql).unwrap_err();
            assert!(matches!(error, StoreErrorKind::SeveralQueries), "{sql}");
        }
    }

    #[test]
    fn a_nul_is_named_with_its_place() {
        for (sql, place) in [
            ("SELECT 1\0", (1, 9)),
            ("SELECT\n 'ä\0'", (2, 4)),
            ("\0", (1, 1)),
        ] {
            match look_at(sql).unwrap_err() {
                StoreErrorKind::QueryHasNul { line, column } => {
                    assert_eq!((line, column), place);
                }
                other => panic!("{sql:?}: {other}"),
            }
        }
    }
}
