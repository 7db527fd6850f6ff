//! Properties that columns of events hold too: their text is stored once.

use arrow::array::{StringArray, StringBuilder, StringViewArray};
use serde::{Deserialize, Serialize};

/// Columns of events, never NULL, filled from the property of the same name; '' without one.
pub(super) const TWINS: [&str; 2] = ["$session_id", "$window_id"];

/// How the text at a path relates to the column of events with its name. The column of the path
/// holds only what differs: NULL where the two agree, '' where the property is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Twin {
    /// They agree in every row.
    Same,
    Mostly,
}

/// What differs of a path's text.
pub(super) fn apart(text: &StringArray, twin: &StringViewArray) -> StringArray {
    let mut apart = StringBuilder::new();
    for (text, twin) in text.iter().zip(twin) {
        let text = text.unwrap_or_default();
        match text == twin.unwrap_or_default() {
            true => apart.append_null(),
            false => apart.append_value(text),
        }
    }
    apart.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_kept() {
        let text = StringArray::from(vec![Some("a"), None, Some("a"), None, Some("b")]);
        let twin = StringViewArray::from(vec!["a", "", "", "a", "a"]);
        let kept = StringArray::from(vec![None, None, Some("a"), Some(""), Some("b")]);
        assert_eq!(apart(&text, &twin), kept);
    }
}
