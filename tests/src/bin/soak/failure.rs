//! What can go wrong, and what a fault explains of it.

use std::io::{self, ErrorKind};

use gateway_tests::harness::{Answer, Broken};

/// Why something did not come off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It broke off, or the gateway says who failed. A fault on that leg explains it.
    Broken(Leg, String),
    /// A whole answer that is not the right one, or a silence without end. Nothing explains it:
    /// faults take bytes away, and neither make nor change any.
    Wrong(String),
}

/// Which connections a failure may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// Those of both legs.
    Either,
    /// The gateway's to its back-end.
    Far,
    /// The client's to the gateway.
    Near,
}

/// Where faults have struck that can show in one thing that was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    /// On the way to the back-end, while it was done.
    pub(crate) far: bool,
    /// On the very connection that it was done on.
    pub(crate) near: bool,
}

impl Failure {
    /// What an answer says that is not the one awaited.
    pub(crate) fn of(answer: &Answer) -> Self {
        let text = format!("{}: {:.200}", answer.status, answer.text());
        match answer.status {
            408 => Self::Broken(Leg::Near, text),
            // A 503 is the gateway's own, of places that somebody did not give back.
            502 | 504 => Self::Broken(Leg::Far, text),
            _ => Self::Wrong(text),
        }
    }

    /// What an error of the client's own connection says.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        let text = format!("{doing}: {error}");
        match error.kind() {
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Self::Broken(Leg::Either, text),
            // Patience ran out, or TLS found bytes that the gateway never wrote.
            _ => Self::Wrong(text),
        }
    }

    /// What the end of a connection in the middle of an answer says.
    pub(crate) fn cut(broken: &Broken) -> Self {
        let text = format!("{:.200}", format!("no answer: {broken:?}"));
        Self::Broken(Leg::Either, text)
    }

    /// Whether those faults explain it.
    pub(crate) fn is_explained_by(&self, struck: Struck) -> bool {
        match self {
            Self::Broken(Leg::Either, _) => struck.far || struck.near,
            Self::Broken(Leg::Far, _) => struck.far,
            Self::Broken(Leg::Near, _) => struck.near,
            Self::Wrong(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_tests::harness::Framing;

    use super::*;

    const FAR: Struck = Struck {
        far: true,
        near: false,
    };
    const NEAR: Struck = Struck {
        far: false,
        near: true,
    };

    #[test]
    fn a_fault_explains_what_broke_on_its_leg() {
        let cut = Failure::cut(&Broken::Nothing);
        let reset = Failure::io("sending", &ErrorKind::ConnectionReset.into());
        for (failure, far, near) in [
            (&cut, true, true),
            (&reset, true, true),
            (&answered(408), false, true),
            (&answered(502), true, false),
            (&answered(504), true, false),
        ] {
            let explained = [FAR, NEAR].map(|struck| failure.is_explained_by(struck));
            assert_eq!(explained, [far, near], "{failure:?}");
            assert!(!failure.is_explained_by(Struck::default()), "{failure:?}");
        }
    }

    #[test]
    fn no_fault_explains_what_is_wrong() {
        let both = Struck {
            far: true,
            near: true,
        };
        for failure in [
            Failure::Wrong("3 wrong bytes look whole".to_owned()),
            Failure::io("sending", &ErrorKind::WouldBlock.into()),
            Failure::io("handshake", &ErrorKind::InvalidData.into()),
            answered(200),
            answered(400),
            answered(401),
            answered(500),
            answered(503),
        ] {
            assert!(!failure.is_explained_by(both), "{failure:?}");
        }
    }

    fn answered(status: u16) -> Failure {
        Failure::of(&Answer {
            interim: Vec::new(),
            status,
            fields: Vec::new(),
            body: Vec::new(),
            framing: Framing::None,
        })
    }
}
