//! What a client proved to hold at one step, and proves again at the next: a code and a refresh token are of use to whoever
//! does, and to nobody else.

use chancery_wire::access_token::Cnf;

use crate::tokens::client::Client;

/// What a client proved to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bond {
    /// What its tokens are bound to; `None` when to nothing.
    pub cnf: Option<Cnf>,
    /// The running copy that an attester vouched for, by its key.
    pub instance: Option<String>,
}

/// Stands before the hash of a certificate in the text of a bond.
const CERTIFICATE: &str = "x5t#S256:";
/// Stands before the key of a running copy.
const INSTANCE: &str = "instance:";

impl Bond {
    /// Of a request: a key, which is that of its proof or was named, the certificate of the connection where that is registered
    /// for the client, and the running copy.
    pub(crate) fn of(jkt: Option<&str>, client: &Client) -> Self {
        Self {
            instance: client.instance.clone(),
            ..Self::of_parts(jkt, client.certificate.as_deref())
        }
    }

    /// Of a key and a certificate alone, where no running copy is known.
    pub(crate) fn of_parts(jkt: Option<&str>, x5t: Option<&str>) -> Self {
        Self {
            cnf: Cnf::of(jkt, x5t),
            instance: None,
        }
    }

    /// As it is kept with a code or a refresh token; nothing where tokens are bound to nothing.
    pub(crate) fn to_text(&self) -> Option<String> {
        let cnf = self.cnf.as_ref()?;
        let certificate = cnf.x5t.as_ref().map(|x5t| format!("{CERTIFICATE}{x5t}"));
        let instance = self.instance.as_ref().map(|key| format!("{INSTANCE}{key}"));
        let parts: Vec<String> = [cnf.jkt.clone(), certificate, instance]
            .into_iter()
            .flatten()
            .collect();
        Some(parts.join(" "))
    }

    /// Reads what [`Bond::to_text`] wrote; `None` of anything else.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (mut jkt, mut x5t, mut instance) = (None, None, None);
        for part in text.split(' ') {
            let (place, value) = match (part.strip_prefix(CERTIFICATE), part.strip_prefix(INSTANCE))
            {
                (Some(hash), _) => (&mut x5t, hash),
                (None, Some(key)) => (&mut instance, key),
                (None, None) => (&mut jkt, part),
            };
            if value.is_empty() || place.replace(value).is_some() {
                return None;
            }
        }
        Some(Self {
            cnf: Some(Cnf::of(jkt, x5t)?),
            instance: instance.map(str::to_owned),
        })
    }

    /// Requires that whoever proved `held` proved all of this; the error is the reason for the record.
    pub(crate) fn require(&self, held: &Self) -> Result<(), &'static str> {
        let part = |of: &Self, which: fn(&Cnf) -> Option<&String>| {
            of.cnf.as_ref().and_then(which).cloned()
        };
        let [jkt, held_jkt] = [self, held].map(|bond| part(bond, |cnf| cnf.jkt.as_ref()));
        let [x5t, held_x5t] = [self, held].map(|bond| part(bond, |cnf| cnf.x5t.as_ref()));
        if jkt.is_some() && held_jkt.is_none() {
            return Err(PROOF_MISSING);
        }
        if jkt.is_some() && jkt != held_jkt {
            return Err("jkt_mismatch");
        }
        if x5t.is_some() && x5t != held_x5t {
            return Err("certificate_mismatch");
        }
        if self.instance.is_some() && self.instance != held.instance {
            return Err("instance_mismatch");
        }
        Ok(())
    }
}

/// The reason when a DPoP proof was needed and none came.
pub(crate) const PROOF_MISSING: &str = "proof_missing";

#[cfg(test)]
mod tests {
    use super::*;

    fn bond(jkt: Option<&str>, x5t: Option<&str>, instance: Option<&str>) -> Bond {
        Bond {
            cnf: Cnf::of(jkt, x5t),
            instance: instance.map(str::to_owned),
        }
    }

    #[test]
    fn bond_is_one_text_and_all_of_it_must_be_held() {
        let all = bond(Some("k"), Some("c"), Some("i"));
        for (part, text) in [
            (bond(Some("k"), None, None), "k"),
            (bond(None, Some("c"), None), "x5t#S256:c"),
            (bond(Some("k"), Some("c"), None), "k x5t#S256:c"),
            (bond(Some("k"), None, Some("i")), "k instance:i"),
            (all.clone(), "k x5t#S256:c instance:i"),
        ] {
            assert_eq!(part.to_text().as_deref(), Some(text));
            assert_eq!(Bond::from_text(text).as_ref(), Some(&part));
            assert_eq!(part.require(&part), Ok(()));
            assert_eq!(part.require(&all), Ok(()), "{text}");
            assert!(part.require(&Bond::default()).is_err(), "{text}");
        }
        for (other, why) in [
            (bond(None, Some("c"), Some("i")), PROOF_MISSING),
            (bond(Some("other"), Some("c"), Some("i")), "jkt_mismatch"),
            (
                bond(Some("k"), Some("other"), Some("i")),
                "certificate_mismatch",
            ),
            (bond(Some("k"), None, Some("i")), "certificate_mismatch"),
            (
                bond(Some("k"), Some("c"), Some("other")),
                "instance_mismatch",
            ),
            (bond(Some("k"), Some("c"), None), "instance_mismatch"),
        ] {
            assert_eq!(all.require(&other), Err(why));
        }
        // Without anything that tokens are bound to there is nothing to keep.
        assert_eq!(bond(None, None, Some("i")).to_text(), None);
        for bad in [
            "",
            "k k",
            "instance:i",
            "x5t#S256: k",
            "k instance:i instance:j",
            "k  x5t#S256:c",
        ] {
            assert_eq!(Bond::from_text(bad), None, "{bad}");
        }
    }
}
