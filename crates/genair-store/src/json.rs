//! JSON in columns and parameters.

use genair_protocol::Axes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Sqlite, Type, ValueRef};

/// A column that holds JSON text; NULL is JSON's null.
pub(crate) struct Json<T>(pub(crate) T);

impl<T> Type<Sqlite> for Json<T> {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<'r, T: DeserializeOwned> Decode<'r, Sqlite> for Json<T> {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = match value.is_null() {
            true => "null",
            false => <&str>::decode(value)?,
        };
        Ok(Self(serde_json::from_str(text)?))
    }
}

macro_rules! unpacked {
    ($($value:ty),*) => {
        $(impl From<Json<$value>> for $value {
            fn from(Json(value): Json<$value>) -> Self {
                value
            }
        })*
    };
}

// What `#[sqlx(try_from = "Json<...>")]` asks for.
unpacked!(Axes, Option<Axes>, Vec<u32>, Vec<u64>, Vec<String>);

/// Plain data as JSON, such as a list for SQLite's `json_each`.
pub(crate) fn json_text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("plain data has a JSON form")
}
