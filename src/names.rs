//! What a key and a namespace name may be.

use crate::error::{Error, Result};
use crate::limits::{MAX_KEY_BYTES, MAX_NAMESPACE_BYTES, MAX_TASK_ID_BYTES};

/// Accepts any string of 1 to 1,978 bytes.
pub(crate) fn check_key(key: &str) -> Result<()> {
    match key.len() {
        0 => Err(Error::InvalidKey("a key has at least one character".into())),
        bytes if bytes > MAX_KEY_BYTES => Err(Error::KeyTooLong { bytes, limit: MAX_KEY_BYTES }),
        _ => Ok(()),
    }
}

/// Accepts any string of 1 to 1,024 bytes.
pub(crate) fn check_task_id(id: &str) -> Result<()> {
    match id.len() {
        0 => Err(Error::InvalidKey("a task's id has at least one character".into())),
        bytes if bytes > MAX_TASK_ID_BYTES => {
            Err(Error::KeyTooLong { bytes, limit: MAX_TASK_ID_BYTES })
        }
        _ => Ok(()),
    }
}

/// Accepts for a queue what a namespace may be called.
pub(crate) fn check_queue(name: &str) -> Result<()> {
    check_namespace(name).map_err(|error| match error {
        Error::InvalidNamespace(problem) => Error::InvalidQueueName(problem),
        error => error,
    })
}

/// Accepts any string of 1 to 512 bytes without control characters.
pub(crate) fn check_namespace(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::InvalidNamespace("a name has at least one character".into()));
    }
    if name.len() > MAX_NAMESPACE_BYTES {
        return Err(Error::InvalidNamespace(format!(
            "it has {} bytes of UTF-8, the limit is {MAX_NAMESPACE_BYTES}",
            name.len()
        )));
    }
    if let Some(character) = name.chars().find(|character| character.is_control()) {
        return Err(Error::InvalidNamespace(format!(
            "it contains the control character U+{:04X}",
            u32::from(character)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_accepted_up_to_the_limit_and_refused_one_past_it() {
        check_key(&"k".repeat(MAX_KEY_BYTES)).unwrap();
        check_key("\0 / @ | \u{1F600}").unwrap();
        assert!(matches!(check_key(""), Err(Error::InvalidKey(_))));
        assert!(matches!(
            check_key(&"k".repeat(MAX_KEY_BYTES + 1)),
            Err(Error::KeyTooLong { bytes: 1_979, limit: 1_978 })
        ));
    }

    #[test]
    fn ids_of_tasks_are_accepted_up_to_the_limit_and_refused_one_past_it() {
        check_task_id(&"i".repeat(MAX_TASK_ID_BYTES)).unwrap();
        assert!(matches!(check_task_id(""), Err(Error::InvalidKey(_))));
        assert!(matches!(
            check_task_id(&"i".repeat(MAX_TASK_ID_BYTES + 1)),
            Err(Error::KeyTooLong { bytes: 1_025, limit: 1_024 })
        ));
        check_queue("jobs").unwrap();
        assert!(matches!(check_queue("\n"), Err(Error::InvalidQueueName(_))));
    }

    #[test]
    fn names_are_accepted_up_to_the_limit_and_refused_one_past_it() {
        check_namespace(&"n".repeat(MAX_NAMESPACE_BYTES)).unwrap();
        check_namespace("files:@scope/repo | a b").unwrap();
        for name in [String::new(), "n".repeat(MAX_NAMESPACE_BYTES + 1), "a\nb".into(), "\0".into()]
        {
            assert!(matches!(check_namespace(&name), Err(Error::InvalidNamespace(_))));
        }
        assert!(check_namespace("\u{1}catalogue").is_err());
        assert!(check_namespace("\u{7f}").is_err());
        assert!(check_namespace("\u{85}").is_err());
    }
}
