//! What happens to a person: visits, the way to an account, work in the product, money.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::demo::DemoOptions;
use crate::demo::event::{DemoEvent, SessionInfo};
use crate::demo::person::{Habit, Person, chance, pick, random_uuid, timed_uuid};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// When people come: the same for all persons.
#[derive(Debug)]
pub(super) struct Market {
    start: i64,
    end: i64,
    /// Days since `start` with the share of persons who come first on that day. Days before the
    /// start make the product one with a past.
    arrivals: Vec<(u32, i64)>,
}

/// People who came up to this long before the start may still be around.
const PAST_DAYS: i64 = 30;

impl Market {
    pub(super) fn new(options: &DemoOptions) -> Self {
        let end = options.end.timestamp_micros();
        let days = i64::from(options.days.max(1));
        let start = end - days * DAY;
        let arrivals = (-PAST_DAYS..days).map(|day| {
            let growth = 100 + 120 * day.max(0) / days;
            let weight = growth * weekday_percent(start + day * DAY) / 100;
            (u32::try_from(weight).unwrap_or(1), day)
        });
        Self { start, end, arrivals: arrivals.collect() }
    }

    /// The events of one person within the period, in order of time.
    pub(super) fn simulate(&self, seed: u64, number: u64) -> Vec<DemoEvent> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number + 1);
        let person = Arc::new(Person::new(&mut rng, number));
        let first_day = pick(&mut rng, &self.arrivals);
        let mut journey = Journey {
            rng,
            start: self.start,
            end: self.end,
            person,
            session: None,
            clock: 0,
            signed_in: false,
            plan: "free",
            events: Vec::new(),
        };
        journey.live(first_day);
        journey.events
    }
}

/// Less goes on at weekends.
fn weekday_percent(micros: i64) -> i64 {
    // The epoch was a Thursday.
    match (micros.div_euclid(DAY) + 3).rem_euclid(7) {
        0..=3 => 100,
        4 => 85,
        _ => 40,
    }
}

/// Visits by hour of the local day.
const HOURS: &[(u32, i64)] = &[
    (1, 6),
    (3, 7),
    (7, 8),
    (10, 9),
    (11, 10),
    (10, 11),
    (7, 12),
    (9, 13),
    (10, 14),
    (10, 15),
    (8, 16),
    (6, 17),
    (4, 18),
    (3, 19),
    (3, 20),
    (2, 21),
    (1, 22),
];

const LANDING: &[(u32, &str)] = &[
    (46, "/"),
    (18, "/features"),
    (14, "/blog/boards-that-breathe"),
    (8, "/blog/standups-without-meetings"),
    (8, "/templates"),
    (6, "/docs/getting-started"),
];

const BROWSING: &[(u32, &str)] =
    &[(30, "/features"), (30, "/pricing"), (15, "/templates"), (15, "/"), (10, "/customers")];

const ONBOARDING: [&str; 4] = ["profile", "workspace", "invite", "first_board"];

/// Plan with the price per seat and month in cents.
const PLANS: &[(u32, (&str, i64))] =
    &[(60, ("starter", 900)), (30, ("team", 1900)), (10, ("business", 3900))];

struct Journey {
    rng: ChaCha8Rng,
    start: i64,
    end: i64,
    person: Arc<Person>,
    session: Option<Arc<SessionInfo>>,
    clock: i64,
    signed_in: bool,
    plan: &'static str,
    events: Vec<DemoEvent>,
}

impl Journey {
    fn live(&mut self, first_day: i64) {
        match self.person.habit {
            Habit::Visitor => self.look_around(first_day),
            Habit::Trial => {
                self.sign_up(first_day);
                for day in 1..10 {
                    if self.signed_in && chance(&mut self.rng, 45 - 4 * day) {
                        self.work(first_day + i64::from(day), 4);
                    }
                }
            }
            Habit::Regular => {
                self.sign_up(first_day);
                if self.signed_in {
                    self.stay(first_day);
                }
            }
        }
    }

    fn look_around(&mut self, first_day: i64) {
        self.open_session(first_day, true);
        self.browse();
        let mut day = first_day;
        while chance(&mut self.rng, 22) {
            day += self.rng.random_range(1..12);
            self.open_session(day, false);
            self.browse();
        }
    }

    /// A visit to the public pages; nearly half see only one.
    fn browse(&mut self) {
        let landing = pick(&mut self.rng, LANDING);
        self.page(landing);
        while chance(&mut self.rng, 55) {
            let next = pick(&mut self.rng, BROWSING);
            self.page(next);
        }
        self.leave();
    }

    /// The way from the first page to a working account, with the losses of every step.
    fn sign_up(&mut self, first_day: i64) {
        let mut day = first_day;
        if chance(&mut self.rng, 35) {
            self.open_session(day, true);
            self.browse();
            day += self.rng.random_range(1..8);
        }
        self.open_session(day, day == first_day);
        let landing = pick(&mut self.rng, LANDING);
        self.page(landing);
        self.page("/pricing");
        self.page("/signup");
        self.event("signup_started", "/signup", String::new());
        if !chance(&mut self.rng, 68) {
            self.leave();
            return;
        }
        let method = pick(&mut self.rng, &[(55, "google"), (35, "email"), (10, "saml")]);
        let anonymous_id = self.person.anonymous_id.clone();
        let email = self.person.email.clone();
        let (plan, country) = (self.plan, self.person.country.code);
        self.signed_in = true;
        self.event(
            "$identify",
            "/signup",
            format!(
                r#""$anon_distinct_id":"{anonymous_id}","$set":{{"email":"{email}","plan":"{plan}","country":"{country}"}}"#
            ),
        );
        self.event("signed_up", "/signup", format!(r#""method":"{method}""#));
        self.onboard();
        self.leave();
    }

    fn onboard(&mut self) {
        // The experiment: guided onboarding loses fewer people at each step.
        let keeps = if self.person.guided { 92 } else { 82 };
        for (number, step) in (1..).zip(ONBOARDING) {
            if !chance(&mut self.rng, keeps) {
                return;
            }
            self.page(&format!("/app/onboarding/{step}"));
            let seconds = self.rng.random_range(8..90);
            self.event(
                "onboarding_step_completed",
                &format!("/app/onboarding/{step}"),
                format!(r#""step":{number},"step_name":"{step}","seconds":{seconds}"#),
            );
        }
        self.create_project();
    }

    /// Days of work until the end or until the person gives up, and what is paid for it.
    fn stay(&mut self, first_day: i64) {
        let buys_on = first_day + self.rng.random_range(2..16);
        let buys = chance(&mut self.rng, 42);
        let mut seats = 0;
        let mut price = 0;
        let mut day = first_day;
        while self.start + day * DAY < self.end {
            day += 1;
            let weekday = weekday_percent(self.start + day * DAY);
            let works = u32::try_from(58 * weekday / 100).unwrap_or_default();
            if chance(&mut self.rng, works) {
                self.work(day, 9);
            }
            if buys && day == buys_on {
                let (plan, cents) = pick(&mut self.rng, PLANS);
                seats = self.rng.random_range(1..=self.person.company.size.min(25));
                (self.plan, price) = (plan, cents);
                self.buy(day, seats, price);
            } else if price > 0 && (day - buys_on) % 30 == 0 {
                self.open_session(day, false);
                let (plan, amount) = (self.plan, money(i64::from(seats) * price));
                let currency = self.person.country.currency;
                self.event(
                    "subscription_renewed",
                    "/app/billing",
                    format!(r#""plan_bought":"{plan}","amount":{amount},"currency":"{currency}""#),
                );
            }
            // Nobody who pays leaves lightly.
            let leaves_per_mille = if price > 0 { 5 } else { 14 };
            if self.rng.random_range(0..1000) < leaves_per_mille {
                if price > 0 {
                    self.cancel(day);
                }
                return;
            }
        }
    }

    fn buy(&mut self, day: i64, seats: u32, price: i64) {
        self.open_session(day, false);
        self.page("/app/billing");
        self.page("/app/billing/plans");
        let billing = pick(&mut self.rng, &[(70, "monthly"), (30, "yearly")]);
        let (months, discount) = if billing == "yearly" { (12, 80) } else { (1, 100) };
        let cents = i64::from(seats) * price * months * discount / 100;
        let plan = self.plan;
        let (amount, unit) = (money(cents), money(price));
        let currency = self.person.country.currency;
        let coupon = match chance(&mut self.rng, 15) {
            true => r#""LOOM10""#,
            false => "null",
        };
        self.event(
            "purchase",
            "/app/billing/plans",
            format!(
                r#""plan_bought":"{plan}","amount":{amount},"currency":"{currency}","billing":"{billing}","coupon":{coupon},"order":{{"seats":{seats},"items":[{{"sku":"{plan}-{billing}","quantity":{seats},"unit_price":{unit}}}]}}"#
            ),
        );
        self.leave();
    }

    fn cancel(&mut self, day: i64) {
        const REASONS: &[(u32, &str)] = &[
            (35, "too_expensive"),
            (25, "missing_feature"),
            (20, "no_longer_needed"),
            (20, "other_tool"),
        ];
        self.open_session(day, false);
        self.page("/app/billing");
        let reason = pick(&mut self.rng, REASONS);
        let plan = self.plan;
        self.event(
            "subscription_cancelled",
            "/app/billing",
            format!(r#""plan_bought":"{plan}","reason":"{reason}""#),
        );
        self.plan = "free";
        self.leave();
    }

    /// A session in the product of about `size` actions.
    fn work(&mut self, day: i64, size: u32) {
        const ACTIONS: &[(u32, &str)] = &[
            (24, "task_created"),
            (30, "task_completed"),
            (16, "comment_added"),
            (8, "search_performed"),
            (6, "file_uploaded"),
            (4, "report_exported"),
            (4, "project_created"),
            (3, "invite_sent"),
            (4, "$autocapture"),
            (1, "$exception"),
        ];
        self.open_session(day, false);
        self.page("/app");
        let actions = self.rng.random_range(1..=size * 2);
        for number in 0..actions {
            if number % 4 == 0 {
                let board = self.rng.random_range(1..30);
                self.page(&format!("/app/board/{board}"));
            }
            match pick(&mut self.rng, ACTIONS) {
                "project_created" => self.create_project(),
                action => self.act(action),
            }
        }
        self.leave();
    }

    fn act(&mut self, action: &'static str) {
        let board = self.rng.random_range(1..30);
        let path = format!("/app/board/{board}");
        let own = match action {
            "task_created" => {
                let labels = pick(
                    &mut self.rng,
                    &[(50, "[]"), (25, r#"["bug"]"#), (15, r#"["design","next"]"#), (10, r#"["chore"]"#)],
                );
                let priority = self.rng.random_range(1..=4);
                format!(r#""board":{board},"labels":{labels},"priority":{priority}"#)
            }
            "task_completed" => {
                let hours = self.rng.random_range(1..=240);
                format!(r#""board":{board},"open_hours":{hours},"on_time":{}"#, hours < 120)
            }
            "comment_added" => format!(r#""board":{board},"length":{}"#, self.rng.random_range(4..600)),
            "search_performed" => {
                let query = pick(
                    &mut self.rng,
                    &[(40, "roadmap"), (30, "überfällig"), (20, "\\\"exact phrase\\\""), (10, "検索")],
                );
                format!(r#""query":"{query}","results":{}"#, self.rng.random_range(0..40))
            }
            "file_uploaded" => {
                let kind = pick(&mut self.rng, &[(50, "png"), (30, "pdf"), (20, "csv")]);
                format!(r#""file":{{"type":"{kind}","bytes":{}}}"#, self.rng.random_range(900..9_000_000))
            }
            "report_exported" => {
                let format = pick(&mut self.rng, &[(60, "csv"), (40, "pdf")]);
                format!(r#""format":"{format}","rows":{}"#, self.rng.random_range(10..20_000))
            }
            "invite_sent" => format!(r#""role":"{}""#, pick(&mut self.rng, &[(80, "member"), (20, "admin")])),
            "$autocapture" => r#""$event_type":"click","$el_text":"Add task""#.to_owned(),
            "$exception" => {
                r#""$exception_type":"TypeError","$exception_message":"undefined is not a board","$exception_level":"error""#
                    .to_owned()
            }
            _ => String::new(),
        };
        self.event(action, &path, own);
    }

    fn create_project(&mut self) {
        let template = pick(
            &mut self.rng,
            &[(45, r#""blank""#), (25, r#""kanban""#), (20, r#""sprint""#), (10, "null")],
        );
        self.event("project_created", "/app/projects/new", format!(r#""template":{template}"#));
    }

    fn open_session(&mut self, day: i64, from_channel: bool) {
        let hour = pick(&mut self.rng, HOURS) - self.person.country.offset_hours;
        // Midnight of the day, not of the moment at which the demo was made.
        let midnight = (self.start + day * DAY).div_euclid(DAY) * DAY;
        let at = midnight + hour * HOUR + self.rng.random_range(0..HOUR);
        // A person's sessions do not overlap.
        self.clock = at.max(self.clock + 31 * MINUTE);
        let id = timed_uuid(&mut self.rng, self.clock);
        let window_id = timed_uuid(&mut self.rng, self.clock);
        self.session =
            Some(Arc::new(SessionInfo { id, window_id, is_entry_from_channel: from_channel }));
    }

    fn page(&mut self, path: &str) {
        self.event("$pageview", path, format!(r#""title":"{}""#, title(path)));
    }

    /// The end of a session, as browsers report it most of the time.
    fn leave(&mut self) {
        let Some(path) = self.events.last().map(|event| event.path.clone()) else { return };
        if chance(&mut self.rng, 70) {
            let seconds = self.rng.random_range(2..180);
            let scroll = self.rng.random_range(0..=100);
            self.event(
                "$pageleave",
                &path,
                format!(r#""$prev_pageview_duration":{seconds},"$prev_pageview_max_scroll_percentage":{scroll}"#),
            );
        }
    }

    fn event(&mut self, name: &'static str, path: &str, own: String) {
        self.clock += self.rng.random_range(SECOND..45 * SECOND);
        // Drawn for events outside of the period too: what happens later must not depend on it.
        let uuid = random_uuid(&mut self.rng);
        let Some(session) = &self.session else { return };
        if self.clock < self.start || self.clock > self.end {
            return;
        }
        self.events.push(DemoEvent {
            uuid,
            name,
            timestamp: self.clock,
            path: path.to_owned(),
            person: Arc::clone(&self.person),
            session: Arc::clone(session),
            signed_in: self.signed_in,
            plan: self.plan,
            own,
        });
    }
}

fn title(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("app") => "Loomboard",
        Some("pricing") => "Pricing – Loomboard",
        Some("signup") => "Sign up – Loomboard",
        Some("blog") => "Blog – Loomboard",
        Some("docs") => "Docs – Loomboard",
        _ => "Loomboard – boards for small teams",
    }
}

/// Cents as a JSON number.
fn money(cents: i64) -> String {
    match cents % 100 {
        0 => format!("{}", cents / 100),
        rest if rest % 10 == 0 => format!("{}.{}", cents / 100, rest / 10),
        rest => format!("{}.{rest:02}", cents / 100),
    }
}
