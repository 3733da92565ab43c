//! The current date, for templates that write it into the prompt.

/// A date and a time of day. The caller passes it: this crate does not read the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    /// Midnight of a day in the proleptic Gregorian calendar, year 1 to 9999. `None` if there is no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = Self { year, month, day, hour: 0, minute: 0, second: 0 };
        let is_day = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=date.days_of_month()).contains(&day);
        is_day.then_some(date)
    }

    /// Sets the time of day. `None` if there is no such time.
    pub fn time(mut self, hour: u8, minute: u8, second: u8) -> Option<Self> {
        (self.hour, self.minute, self.second) = (hour, minute, second);
        (hour < 24 && minute < 60 && second <= 60).then_some(self)
    }

    fn days_of_month(self) -> u8 {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 31,
        }
    }

    /// Days of the year before this day.
    fn days_before(self) -> u16 {
        (1..self.month).map(|month| u16::from(Self { month, ..self }.days_of_month())).sum::<u16>()
            + u16::from(self.day)
            - 1
    }

    /// The day of the week, counted from Sunday as 0.
    fn weekday(self) -> usize {
        let years = usize::from(self.year) - 1;
        // January 1 of the year 1 is a Monday.
        (years * 365 + years / 4 - years / 100 + years / 400 + usize::from(self.days_before()) + 1) % 7
    }

    /// Formats the date like C's `strftime` in the C locale. An unknown conversion is copied.
    pub(crate) fn format(self, format: &str) -> String {
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match rest.next() {
                // `%-d` is `%d` without the leading zero.
                Some('-') => match rest.next() {
                    Some(c) => {
                        let text = self.conversion(c);
                        out.push_str(text.trim_start_matches(['0', ' ']));
                        if text.chars().all(|c| c == '0') {
                            out.push('0');
                        }
                    }
                    None => out.push_str("%-"),
                },
                Some(c) => out.push_str(&self.conversion(c)),
                None => out.push('%'),
            }
        }
        out
    }

    fn conversion(self, c: char) -> String {
        let hour_of_12 = (self.hour + 11) % 12 + 1;
        let short = |name: &str| name[..3].to_string();
        let month = MONTHS[usize::from(self.month.clamp(1, 12)) - 1];
        match c {
            'Y' => format!("{:04}", self.year),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'B' => month.to_string(),
            'b' | 'h' => short(month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.days_before() + 1),
            'A' => DAYS[self.weekday()].to_string(),
            'a' => short(DAYS[self.weekday()]),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{hour_of_12:02}"),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_string(),
            'F' => self.format("%Y-%m-%d"),
            'T' => self.format("%H:%M:%S"),
            'D' => self.format("%m/%d/%y"),
            '%' => "%".to_string(),
            other => format!("%{other}"),
        }
    }
}
