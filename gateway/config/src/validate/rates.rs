//! `[[app.rate]]`.

use policy::{Lane, RateKey};

use super::all;
use crate::Rate;
use crate::context::Missing;
use crate::raw::Section;
use crate::value::Text;

pub(super) fn rates(sections: Vec<Result<Section<'_>, Missing>>) -> Result<Vec<Rate>, Missing> {
    all(sections.into_iter().map(|section| rate(section?)))
}

fn rate(mut section: Section<'_>) -> Result<Rate, Missing> {
    let key = section.choice(
        "key",
        None,
        &[
            ("address", RateKey::Address),
            ("user", RateKey::User),
            ("lane", RateKey::Lane),
            ("token", RateKey::Token),
        ],
    );
    let per_minute = section
        .mandatory("per_minute", "a number from 1 to 1000000")
        .and_then(|_| section.number("per_minute", 1, 1..=1_000_000));
    // No more than a minute's: what is remembered of a key is then worth no more than that.
    let burst = per_minute.and_then(|most| section.number("burst", most, 1..=most));
    let lanes = lanes(&mut section);
    section.finish();
    Ok(Rate {
        key: key?,
        per_minute: per_minute?,
        burst: burst?,
        lanes: lanes?,
    })
}

fn lanes(section: &mut Section<'_>) -> Result<Vec<Lane>, Missing> {
    let open = || Lane::ALL.into_iter().filter(|lane| *lane != Lane::Denied);
    let names: Vec<_> = open().map(|lane| format!("{:?}", lane.as_str())).collect();
    let expected = format!("lanes, of {}", names.join(", "));
    let Some(value) = section.key("lanes") else {
        return Ok(open().collect());
    };
    let texts = value.texts(&expected)?;
    if texts.is_empty() {
        return Err(value.unexpected(&expected));
    }
    let lane = |text: &Text<'_>| {
        open()
            .find(|lane| lane.as_str() == text.as_str())
            .ok_or_else(|| {
                let message = format!("expected {expected}");
                section.context().fault(text.origin(), message)
            })
    };
    all(texts.iter().map(lane))
}
