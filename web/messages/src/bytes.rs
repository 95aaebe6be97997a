//! Messages as bytes: what `postMessage` carries in a `Uint8Array`.

use serde::{Serialize, de::DeserializeOwned};

/// `message` in the postcard format.
///
/// # Panics
/// Never for the messages of this crate: they hold nothing that the format cannot.
pub fn to_bytes<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_allocvec(message).expect("messages hold plain data")
}

/// The message of [`to_bytes`].
///
/// # Errors
/// For bytes of another kind of message, or of another version of the page.
pub fn from_bytes<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, postcard::Error> {
    postcard::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choice, Recipe, Reply, Request};

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let request = Request::Paint { job: 7, recipe: Recipe::default(), choice: Choice::Both };
        assert_eq!(from_bytes::<Request>(&to_bytes(&request)), Ok(request));
        let reply = Reply::Failed { job: 7, message: "no".to_owned() };
        assert_eq!(from_bytes::<Reply>(&to_bytes(&reply)), Ok(reply));
    }

    #[test]
    fn other_bytes_are_an_error() {
        assert!(from_bytes::<Reply>(&[255; 3]).is_err());
    }
}
