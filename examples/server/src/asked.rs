//! What a request asks for.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use serde::Deserialize;

use crate::Failure;

/// The query of `/segment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Which picture; the mask unless it says otherwise.
    kind: Option<Kind>,
    /// Pixels above this probability are vessels; the weights' own unless it says otherwise.
    threshold: Option<f32>,
}

/// A picture of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Mask,
    Probability,
    Overlay,
}

/// How a result is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Png(Kind),
}

/// What is asked for, checked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub form: Form,
    pub threshold: Option<f32>,
}

impl Asked {
    /// # Errors
    /// If the threshold is out of range, a kind is asked for beside JSON, or no form is acceptable.
    pub fn of(query: &Query, headers: &HeaderMap) -> Result<Self, Failure> {
        if let Some(threshold) = query.threshold
            && !(0.0..=1.0).contains(&threshold)
        {
            return Err(Failure::Threshold(threshold));
        }
        let form = match (accepted(headers)?, query.kind) {
            (Accepted::Json, None) => Form::Json,
            (Accepted::Json, Some(_)) => {
                let text = "kind is that of a picture; Accept must be image/png";
                return Err(Failure::Query(text.to_owned()));
            }
            (Accepted::Png, kind) => Form::Png(kind.unwrap_or(Kind::Mask)),
        };
        Ok(Self {
            form,
            threshold: query.threshold,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Accepted {
    Json,
    Png,
}

/// The first form of `Accept` that there is; without a word a picture.
fn accepted(headers: &HeaderMap) -> Result<Accepted, Failure> {
    let mut said = false;
    for value in headers.get_all(ACCEPT) {
        let text = value.to_str().unwrap_or_default();
        for range in text.split(',') {
            said = true;
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0"));
            match name.as_str() {
                _ if refused => {}
                "application/json" | "application/*" => return Ok(Accepted::Json),
                "image/png" | "image/*" | "*/*" => return Ok(Accepted::Png),
                _ => {}
            }
        }
    }
    match said {
        true => Err(Failure::NotAcceptable),
        false => Ok(Accepted::Png),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Accepted> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        accepted(&headers).ok()
    }

    #[test]
    fn the_first_form_that_there_is_is_taken() {
        assert_eq!(accepted(&HeaderMap::new()).unwrap(), Accepted::Png);
        assert_eq!(form("*/*"), Some(Accepted::Png));
        assert_eq!(
            form("text/html, application/json;q=0.9, */*;q=0.1"),
            Some(Accepted::Json)
        );
        assert_eq!(form("application/json;q=0, image/png"), Some(Accepted::Png));
        assert_eq!(form("text/html"), None);
    }
}
