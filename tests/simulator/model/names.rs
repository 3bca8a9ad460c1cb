//! Names of invented teams, players, competitions and markets. None holds `;` or `|`, which the payload cannot carry;
//! some hold what is easy to get wrong (`=`, `&`, `#`, accents, several scripts).

use super::state::Sport;

pub(crate) const TEAMS: [&str; 24] = [
    "Northbridge",
    "Atlético Sol",
    "Río Claro",
    "Östervik IF",
    "Kasteelpark",
    "Vale & Harbour",
    "Lakeside",
    "Monte Alto",
    "Saint-Éloi",
    "Grünwald 09",
    "Dynamo Ost",
    "Białe Orły",
    "Port Meridian",
    "上林",
    "Южный",
    "Eastmoor",
    "A=B Select",
    "Club #7",
    "Westhaven",
    "Red Quarry",
    "Olmos",
    "Fjordby",
    "Tallpine",
    "Kingsferry",
];

pub(crate) const PLAYERS: [&str; 24] = [
    "A. Moreno",
    "J. Lindqvist",
    "K. Adeyemi",
    "P. O'Hara",
    "S. Tanaka",
    "M. Kowalczyk",
    "L. Ferreira",
    "D. Novák",
    "R. van Dijken",
    "T. Müller-Ross",
    "E. Šimić",
    "H. Okafor",
    "C. Duarte",
    "B. Haugen",
    "N. Petrov",
    "V. Rossi",
    "G. Papadakis",
    "I. Kaya",
    "F. Laurent",
    "W. Brandt",
    "O. Mensah",
    "U. Sato",
    "Y. Alvarez",
    "Z. Horváth",
];

/// The competitions of a sport.
pub(crate) fn competitions(sport: Sport) -> &'static [&'static str] {
    match sport {
        Sport::Soccer => &["Premier Division", "Liga del Sur", "Copa Atlántica", "Oberliga West"],
        Sport::Tennis => &["Harbour Open", "Challenger Río"],
        Sport::Basketball => &["National League", "ARG Liga"],
        Sport::Cricket => &["County Cup"],
        Sport::TableTennis => &["Setka Series", "Winter Cup"],
    }
}

/// How the selections of a market are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Home, draw, away.
    Three,
    /// Home, away.
    Two,
    YesNo,
    /// Two columns, over and under, with lines.
    Lines,
    /// Home and away with a handicap each.
    Handicap,
    /// Many names.
    Players,
    /// Many results.
    Results,
}

/// A market's type, name and layout.
pub(crate) type Kind = (u32, &'static str, Layout);

/// Groups, and in each the markets it may have: type, name, layout.
pub(crate) const GROUPS: [(&str, &[Kind]); 4] = [
    (
        "Main",
        &[
            (1777, "Fulltime Result", Layout::Three),
            (10565, "Double Chance", Layout::Three),
            (10562, "Half Time Result", Layout::Three),
            (1763, "To Win Match", Layout::Two),
            (50461, "Draw No Bet", Layout::Two),
        ],
    ),
    (
        "Goals & Points",
        &[
            (10124, "Match Goals", Layout::Lines),
            (421, "Total", Layout::Lines),
            (1778, "Next Goal", Layout::Three),
            (10565, "Both to Score", Layout::YesNo),
            (1001, "Correct Score", Layout::Results),
        ],
    ),
    (
        "Asian Lines",
        &[
            (10147, "Asian Handicap", Layout::Handicap),
            (10148, "Goal Line", Layout::Lines),
            (12, "Handicap 1st Half", Layout::Handicap),
        ],
    ),
    (
        "Players",
        &[
            (45, "Next Scorer", Layout::Players),
            (46, "Anytime Scorer", Layout::Players),
            (47, "To Be Booked", Layout::Players),
        ],
    ),
];

/// Prices in use, lowest first; no two are the same number.
pub(crate) const PRICES: [(u32, u32); 48] = [
    (1, 100),
    (1, 50),
    (1, 33),
    (1, 20),
    (1, 16),
    (1, 12),
    (1, 10),
    (1, 8),
    (1, 7),
    (1, 6),
    (1, 5),
    (2, 9),
    (1, 4),
    (2, 7),
    (3, 10),
    (1, 3),
    (4, 11),
    (2, 5),
    (4, 9),
    (1, 2),
    (4, 7),
    (8, 13),
    (4, 6),
    (8, 11),
    (4, 5),
    (10, 11),
    (1, 1),
    (11, 10),
    (6, 5),
    (5, 4),
    (11, 8),
    (6, 4),
    (13, 8),
    (7, 4),
    (15, 8),
    (2, 1),
    (9, 4),
    (5, 2),
    (11, 4),
    (3, 1),
    (7, 2),
    (4, 1),
    (5, 1),
    (8, 1),
    (12, 1),
    (25, 1),
    (66, 1),
    (150, 1),
];
