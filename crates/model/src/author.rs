//! Who did something to the authority, and whether two acts took two people (IDR-06).

use std::fmt;
use std::str::FromStr;

use crate::owner::OwnerHandle;

/// Who did it: as rows, versions and answers name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// Whoever holds the credential of the data folder.
    LocalAdministrator,
    /// A person with a login.
    Person(OwnerHandle),
}

/// The text names no author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{LOCAL_ADMINISTRATOR}` or the handle of a person")]
pub struct InvalidAuthor;

const LOCAL_ADMINISTRATOR: &str = "local-administrator";

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalAdministrator => f.write_str(LOCAL_ADMINISTRATOR),
            Self::Person(handle) => handle.fmt(f),
        }
    }
}

impl FromStr for Author {
    type Err = InvalidAuthor;

    fn from_str(text: &str) -> Result<Self, InvalidAuthor> {
        if text == LOCAL_ADMINISTRATOR {
            return Ok(Self::LocalAdministrator);
        }
        match OwnerHandle::parse(text) {
            Ok(handle) if !handle.names_team() => Ok(Self::Person(handle)),
            Ok(_) | Err(_) => Err(InvalidAuthor),
        }
    }
}

/// An author with all who had a hand in the login: each of them has seen a secret that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hands {
    /// Who acts.
    pub author: Author,
    /// Who had the author's login made, who had the login made that it was made with, and so on back to the local
    /// administrator; none for the local administrator, and for a login of which it is not known.
    pub makers: Vec<Author>,
}

impl Hands {
    /// Whether this is a person other than `proposer`: a second person.
    ///
    /// Nobody with a login is two people: not with a login that they had made for another name, whichever of the two
    /// proposes, and not with two of them. Where it is not known who had a login made, it is nobody's second person.
    /// The local administrator made the first logins of all, so that alone makes nobody the same; but a login that it
    /// gave out itself does not accept what it proposed.
    pub fn is_second_to(&self, proposer: &Self) -> bool {
        let shares = |author: &Author| proposer.people().any(|other| other == author);
        self.author != proposer.author
            && self.is_known()
            && proposer.is_known()
            && self.first_other_maker() != Some(&proposer.author)
            && !self.people().any(shares)
    }

    /// Who had a hand in a login, or in an invitation, that this author has made; the author first.
    pub fn makers_of_what_is_made(self) -> Vec<Author> {
        let Self { author, makers } = self;
        // Once is enough, however often somebody renews their own.
        let before: Vec<Author> = makers
            .into_iter()
            .filter(|maker| *maker != author)
            .collect();
        std::iter::once(author).chain(before).collect()
    }

    /// Whether all who had a hand in it are known: the first login of all was the local administrator's to give.
    fn is_known(&self) -> bool {
        match self.author {
            Author::LocalAdministrator => true,
            Author::Person(_) => self.makers.last() == Some(&Author::LocalAdministrator),
        }
    }

    /// Who gave out the login; whoever renewed their own did not.
    fn first_other_maker(&self) -> Option<&Author> {
        self.makers.iter().find(|maker| **maker != self.author)
    }

    fn people(&self) -> impl Iterator<Item = &Author> {
        let all = std::iter::once(&self.author).chain(&self.makers);
        all.filter(|author| matches!(author, Author::Person(_)))
    }
}

/// The author and the makers, separated by spaces; no handle has one.
impl fmt::Display for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.author.fmt(f)?;
        self.makers
            .iter()
            .try_for_each(|maker| write!(f, " {maker}"))
    }
}

impl FromStr for Hands {
    type Err = InvalidAuthor;

    fn from_str(text: &str) -> Result<Self, InvalidAuthor> {
        let mut authors = text.split(' ').map(Author::from_str);
        Ok(Self {
            author: authors.next().ok_or(InvalidAuthor)??,
            makers: authors.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hands(text: &str) -> Hands {
        text.parse().expect("hands")
    }

    #[track_caller]
    fn check(proposer: &str, accepter: &str, expected: bool) {
        let found = hands(accepter).is_second_to(&hands(proposer));
        assert_eq!(found, expected, "{proposer}, then {accepter}");
    }

    const LOCAL: &str = "local-administrator";
    const ALICE: &str = "alice@example.com local-administrator";
    const BOB: &str = "bob@example.com local-administrator";

    #[test]
    fn two_people_with_logins_of_their_own_are_two() {
        check(ALICE, BOB, true);
        check(BOB, ALICE, true);
        check(ALICE, LOCAL, true);
        // Alice gives out logins, and that is no matter of what the local administrator proposes or accepts.
        let bob_by_alice = "bob@example.com alice@example.com local-administrator";
        check(LOCAL, bob_by_alice, true);
        check(bob_by_alice, LOCAL, true);
        check(bob_by_alice, "carol@example.com local-administrator", true);
    }

    #[test]
    fn idr_06_nobody_is_two_people_with_a_login_that_they_had_made() {
        let bob_by_alice = "bob@example.com alice@example.com local-administrator";
        let carol_by_bob =
            "carol@example.com bob@example.com alice@example.com local-administrator";
        let dora_by_alice = "dora@example.com alice@example.com local-administrator";
        for (one, two) in [
            (ALICE, ALICE),
            (
                ALICE,
                "alice@example.com bob@example.com local-administrator",
            ),
            (ALICE, bob_by_alice),
            (ALICE, carol_by_bob),
            (dora_by_alice, bob_by_alice),
            (dora_by_alice, carol_by_bob),
        ] {
            check(one, two, false);
            check(two, one, false);
        }
        check(LOCAL, LOCAL, false);
        check(LOCAL, BOB, false);
        let renewed = "bob@example.com bob@example.com local-administrator";
        check(LOCAL, renewed, false);
        check(ALICE, renewed, true);
    }

    #[test]
    fn whoever_makes_a_login_is_its_first_maker_and_named_once() {
        let made = |text| {
            let makers = hands(text).makers_of_what_is_made();
            let makers: Vec<String> = makers.iter().map(Author::to_string).collect();
            makers.join(" ")
        };
        assert_eq!(made(LOCAL), LOCAL);
        assert_eq!(made(ALICE), ALICE);
        assert_eq!(
            made("bob@example.com bob@example.com local-administrator"),
            BOB
        );
        let carol_by_bob = "carol@example.com bob@example.com local-administrator";
        assert_eq!(made(carol_by_bob), carol_by_bob);
    }

    #[test]
    fn login_of_which_nobody_knows_who_made_it_is_nobodys_second_person() {
        check(ALICE, "bob@example.com", false);
        check(ALICE, "carol@example.com bob@example.com", false);
        check("bob@example.com", ALICE, false);
        check("bob@example.com", LOCAL, false);
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_read() {
        for text in [
            LOCAL,
            ALICE,
            "bob@example.com alice@example.com local-administrator",
        ] {
            assert_eq!(hands(text).to_string(), text);
        }
        for bad in [
            "",
            " ",
            "team:desk",
            "alice@example.com ",
            "alice@example.com  local-administrator",
            "local",
        ] {
            assert_eq!(bad.parse::<Hands>(), Err(InvalidAuthor), "{bad}");
        }
    }
}
