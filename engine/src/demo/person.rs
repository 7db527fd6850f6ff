//! Who uses Loomboard: where they are, what they use, and how they came.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// Picks a value by weight.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, table: &[(u32, T)]) -> T {
    let total: u32 = table.iter().map(|(weight, _)| weight).sum();
    let mut ticket = rng.random_range(0..total);
    for (weight, value) in table {
        if ticket < *weight {
            return *value;
        }
        ticket -= weight;
    }
    table[table.len() - 1].1
}

pub(super) fn chance(rng: &mut ChaCha8Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Country {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) cities: &'static [&'static str],
    /// Hours ahead of UTC; no summer time in the demo.
    pub(super) offset_hours: i64,
    pub(super) time_zone: &'static str,
    pub(super) language: &'static str,
    pub(super) currency: &'static str,
}

const fn country(
    code: &'static str,
    name: &'static str,
    cities: &'static [&'static str],
    (offset_hours, time_zone): (i64, &'static str),
    language: &'static str,
    currency: &'static str,
) -> Country {
    Country { code, name, cities, offset_hours, time_zone, language, currency }
}

const COUNTRIES: &[(u32, Country)] = &[
    (
        16,
        country(
            "US",
            "United States",
            &["New York", "Boston", "Atlanta"],
            (-5, "America/New_York"),
            "en-US",
            "USD",
        ),
    ),
    (
        12,
        country(
            "US",
            "United States",
            &["San Francisco", "Seattle", "Portland"],
            (-8, "America/Los_Angeles"),
            "en-US",
            "USD",
        ),
    ),
    (
        10,
        country(
            "GB",
            "United Kingdom",
            &["London", "Manchester", "Bristol"],
            (0, "Europe/London"),
            "en-GB",
            "GBP",
        ),
    ),
    (
        10,
        country(
            "DE",
            "Germany",
            &["Berlin", "Hamburg", "München"],
            (1, "Europe/Berlin"),
            "de-DE",
            "EUR",
        ),
    ),
    (7, country("FR", "France", &["Paris", "Lyon"], (1, "Europe/Paris"), "fr-FR", "EUR")),
    (5, country("CA", "Canada", &["Toronto", "Montréal"], (-5, "America/Toronto"), "en-CA", "USD")),
    (
        9,
        country(
            "IN",
            "India",
            &["Bengaluru", "Mumbai", "Pune"],
            (5, "Asia/Kolkata"),
            "en-IN",
            "USD",
        ),
    ),
    (
        6,
        country(
            "BR",
            "Brazil",
            &["São Paulo", "Recife"],
            (-3, "America/Sao_Paulo"),
            "pt-BR",
            "USD",
        ),
    ),
    (
        5,
        country(
            "NL",
            "Netherlands",
            &["Amsterdam", "Utrecht"],
            (1, "Europe/Amsterdam"),
            "nl-NL",
            "EUR",
        ),
    ),
    (4, country("ES", "Spain", &["Madrid", "Valencia"], (1, "Europe/Madrid"), "es-ES", "EUR")),
    (4, country("PL", "Poland", &["Warszawa", "Kraków"], (1, "Europe/Warsaw"), "pl-PL", "EUR")),
    (4, country("JP", "Japan", &["東京", "大阪"], (9, "Asia/Tokyo"), "ja-JP", "USD")),
    (
        4,
        country(
            "AU",
            "Australia",
            &["Sydney", "Melbourne"],
            (10, "Australia/Sydney"),
            "en-AU",
            "USD",
        ),
    ),
    (3, country("SE", "Sweden", &["Stockholm", "Malmö"], (1, "Europe/Stockholm"), "sv-SE", "EUR")),
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub(super) kind: &'static str,
    pub(super) os: &'static str,
    pub(super) os_version: &'static str,
    pub(super) screen: (u32, u32),
    browsers: &'static [(u32, &'static str)],
}

const DEVICES: &[(u32, Device)] = &[
    (
        34,
        Device {
            kind: "Desktop",
            os: "Windows",
            os_version: "10.0",
            screen: (1920, 1080),
            browsers: &[(60, "Chrome"), (26, "Microsoft Edge"), (14, "Firefox")],
        },
    ),
    (
        28,
        Device {
            kind: "Desktop",
            os: "Mac OS X",
            os_version: "10.15.7",
            screen: (1512, 982),
            browsers: &[(62, "Chrome"), (28, "Safari"), (10, "Firefox")],
        },
    ),
    (
        7,
        Device {
            kind: "Desktop",
            os: "Linux",
            os_version: "",
            screen: (2560, 1440),
            browsers: &[(52, "Chrome"), (48, "Firefox")],
        },
    ),
    (
        14,
        Device {
            kind: "Mobile",
            os: "iOS",
            os_version: "18.5",
            screen: (393, 852),
            browsers: &[(88, "Mobile Safari"), (12, "Chrome iOS")],
        },
    ),
    (
        13,
        Device {
            kind: "Mobile",
            os: "Android",
            os_version: "15",
            screen: (412, 915),
            browsers: &[(90, "Chrome"), (10, "Samsung Internet")],
        },
    ),
    (
        4,
        Device {
            kind: "Tablet",
            os: "iOS",
            os_version: "18.5",
            screen: (820, 1180),
            browsers: &[(100, "Mobile Safari")],
        },
    ),
];

const VERSIONS: &[(u32, u32)] = &[(10, 136), (25, 137), (50, 138), (15, 139)];

/// How somebody found the site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    pub(super) referrer: &'static str,
    pub(super) referring_domain: &'static str,
    /// Source, medium and campaign.
    pub(super) utm: Option<(&'static str, &'static str, &'static str)>,
    /// How likely its visitors sign up, in percent.
    pub(super) signup_percent: u32,
}

const CHANNELS: &[(u32, Channel)] = &[
    (
        30,
        Channel { referrer: "$direct", referring_domain: "$direct", utm: None, signup_percent: 17 },
    ),
    (
        27,
        Channel {
            referrer: "https://www.google.com/",
            referring_domain: "www.google.com",
            utm: None,
            signup_percent: 8,
        },
    ),
    (
        11,
        Channel {
            referrer: "https://www.google.com/",
            referring_domain: "www.google.com",
            utm: Some(("google", "cpc", "brand-search")),
            signup_percent: 15,
        },
    ),
    (
        7,
        Channel {
            referrer: "https://www.linkedin.com/",
            referring_domain: "www.linkedin.com",
            utm: Some(("linkedin", "paid-social", "ops-leads")),
            signup_percent: 10,
        },
    ),
    (
        6,
        Channel {
            referrer: "https://duckduckgo.com/",
            referring_domain: "duckduckgo.com",
            utm: None,
            signup_percent: 19,
        },
    ),
    (
        6,
        Channel {
            referrer: "https://news.ycombinator.com/",
            referring_domain: "news.ycombinator.com",
            utm: None,
            signup_percent: 8,
        },
    ),
    (
        8,
        Channel {
            referrer: "$direct",
            referring_domain: "$direct",
            utm: Some(("newsletter", "email", "product-update")),
            signup_percent: 28,
        },
    ),
    (
        5,
        Channel {
            referrer: "https://partners.example/",
            referring_domain: "partners.example",
            utm: Some(("partners", "referral", "directory")),
            signup_percent: 22,
        },
    ),
];

/// What the rest of a person's life is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Looks around, perhaps a second time.
    Visitor,
    /// Signs up and gives up soon.
    Trial,
    /// Signs up and stays.
    Regular,
}

/// A person, before anything happens.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) anonymous_id: String,
    pub(super) user_id: String,
    pub(super) email: String,
    pub(super) country: Country,
    pub(super) city: &'static str,
    pub(super) device: Device,
    pub(super) browser: &'static str,
    pub(super) browser_version: u32,
    pub(super) channel: Channel,
    pub(super) habit: Habit,
    /// In the experiment's test group.
    pub(super) guided: bool,
    pub(super) company: Arc<Company>,
}

#[derive(Debug)]
pub(super) struct Company {
    pub(super) key: String,
    pub(super) industry: &'static str,
    pub(super) size: u32,
}

const INDUSTRIES: &[(u32, &str)] = &[
    (30, "software"),
    (20, "agency"),
    (15, "education"),
    (15, "retail"),
    (12, "health"),
    (8, "public"),
];

impl Person {
    pub(super) fn new(rng: &mut ChaCha8Rng, number: u64) -> Self {
        let country = pick(rng, COUNTRIES);
        let device = pick(rng, DEVICES);
        let channel = pick(rng, CHANNELS);
        let habit = match (chance(rng, channel.signup_percent), chance(rng, 38)) {
            (false, _) => Habit::Visitor,
            (true, false) => Habit::Trial,
            (true, true) => Habit::Regular,
        };
        // Teams of three sign up; their number stands for the company.
        let team = number / 3;
        let company = Company {
            key: format!("team-{team:05}"),
            industry: pick(rng, INDUSTRIES),
            size: pick(rng, &[(40, 5), (30, 12), (20, 40), (10, 150)]),
        };
        Self {
            id: random_uuid(rng),
            anonymous_id: random_uuid(rng).to_string(),
            user_id: format!("user_{number:06}"),
            email: format!("user{number}@team{team}.example"),
            city: country.cities[rng.random_range(0..country.cities.len())],
            country,
            browser: pick(rng, device.browsers),
            browser_version: pick(rng, VERSIONS),
            device,
            channel,
            habit,
            guided: chance(rng, 50),
            company: Arc::new(company),
        }
    }
}

pub(super) fn random_uuid(rng: &mut ChaCha8Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

/// An id that begins with a time, as SDKs make them for sessions.
pub(super) fn timed_uuid(rng: &mut ChaCha8Rng, micros: i64) -> Uuid {
    let millis = u64::try_from(micros / 1000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid()
}
