//! A user's own SQL, on a connection that cannot write.

use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column, Decode, Executor, Row, SqlSafeStr, Sqlite, Statement as _, TypeInfo,
    ValueRef,
};

use crate::error::{SQLITE_READONLY, sqlite_code};
use crate::statement::{Statement, look_at};
use crate::{Store, StoreError, StoreErrorKind};

/// What a statement returned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryResult {
    /// Column names as the statement gives them; they may repeat.
    pub columns: Vec<String>,
    /// One value per column: null, a number, or text. A blob is lower-case hex, an infinite number
    /// is text.
    pub rows: Vec<Vec<Value>>,
}

/// A part of what a statement returns, in the order in which it comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// The names of the columns, first and once.
    Columns(Vec<String>),
    /// A row, in the form of [`QueryResult::rows`].
    Row(Vec<Value>),
}

impl Store {
    /// Runs one reading statement and keeps all that it returns.
    ///
    /// # Errors
    /// Those of [`Self::query_streamed`].
    pub fn query(&mut self, sql: &str) -> Result<QueryResult, StoreError> {
        let mut result = QueryResult {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        self.query_streamed::<StoreError>(sql, |fetched| {
            match fetched {
                Fetched::Columns(columns) => result.columns = columns,
                Fetched::Row(row) => result.rows.push(row),
            }
            Ok(())
        })?;
        Ok(result)
    }

    /// Runs one reading statement and gives `take` the columns and then each row as it comes, so that memory
    /// does not grow with their number. All rows are of one snapshot of the database.
    ///
    /// # Errors
    /// SQL that is not one statement, that writes (the database, or a file), or that SQLite refuses; an error of
    /// `take`, which ends the query.
    pub fn query_streamed<E: From<StoreError>>(
        &mut self,
        sql: &str,
        mut take: impl FnMut(Fetched) -> Result<(), E>,
    ) -> Result<(), E> {
        let done = self.read_only(async |connection| {
            let kind = look_at(sql)?;
            // The user's own words, on a connection that cannot change anything.
            let sql = AssertSqlSafe(sql).into_sql_str();
            if kind == Statement::WritingPragma {
                return Err(StoreErrorKind::QueryWrites);
            }
            sqlx::query("PRAGMA query_only = ON")
                .execute(&mut *connection)
                .await?;
            // Compiles it and runs nothing: what is no SQL at all is for SQLite to name.
            let statement = (&mut *connection).prepare(sql.clone()).await;
            let statement = statement.map_err(refused)?;
            if kind == Statement::Other {
                return Err(StoreErrorKind::QueryWrites);
            }
            let columns = statement.columns().iter();
            let columns = columns.map(|column| column.name().to_owned()).collect();
            if let Err(error) = take(Fetched::Columns(columns)) {
                return Ok(Err(error));
            }
            let mut rows = sqlx::query(sql).fetch(connection);
            while let Some(row) = rows.try_next().await.map_err(refused)? {
                if let Err(error) = take(Fetched::Row(values(&row)?)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        });
        done?
    }
}

fn refused(error: sqlx::Error) -> StoreErrorKind {
    match error.as_database_error() {
        Some(_) if sqlite_code(&error) == Some(SQLITE_READONLY) => StoreErrorKind::QueryWrites,
        Some(database) => StoreErrorKind::Query {
            message: database.message().to_owned(),
        },
        None => error.into(),
    }
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, StoreErrorKind> {
    (0..row.len())
        .map(|column| value(row.try_get_raw(column)?))
        .collect()
}

/// A value by what it is, whatever its column was declared to hold.
fn value(raw: SqliteValueRef<'_>) -> Result<Value, StoreErrorKind> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let decoded = match raw.type_info().name() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(raw).map(Value::from),
        "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(real),
        "TEXT" => <String as Decode<Sqlite>>::decode(raw).map(Value::from),
        _ => <Vec<u8> as Decode<Sqlite>>::decode(raw)
            .map(|blob| Value::from(genair_files::hex(&blob))),
    };
    decoded.map_err(|error| sqlx::Error::Decode(error).into())
}

fn real(number: f64) -> Value {
    serde_json::Number::from_f64(number)
        .map_or_else(|| Value::from(number.to_string()), Value::Number)
}
