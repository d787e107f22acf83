//! Users with their passwords. The hashes were made by other programs than the one under test.

/// One user.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
    /// The line in the htpasswd file holds this.
    pub hash: &'static str,
}

impl User {
    /// The `Authorization` value with this user's password.
    pub fn basic(&self) -> String {
        self.basic_with(self.password)
    }

    /// The `Authorization` value with another password.
    pub fn basic_with(&self, password: &str) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{password}", self.name);
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    }

    /// The line of an htpasswd file.
    pub fn line(&self) -> String {
        format!("{}:{}", self.name, self.hash)
    }
}

/// bcrypt (Python's `bcrypt`), with the smallest cost, so that a hundred gateways start warm.
pub const ALICE: User = User {
    name: "alice",
    password: "wonder-land-7391",
    hash: "$2b$04$98KI8o7e7dSo7Bi9HkTg2.CUScPIdvw7DrR9gSL3dGVeiWBRI8hcK",
};

/// argon2id (Python's `argon2-cffi`).
pub const BOB: User = User {
    name: "bob",
    password: "tea-party-2846",
    hash: "$argon2id$v=19$m=1024,t=1,p=1$FqGR/AQ2O54AbyiPWvo2Qg$t652DDSJti3eGER6ATFtqADkKSpev/dXPFmief+1b3E",
};

/// SHA-512-crypt (`openssl passwd -6`).
pub const CAROL: User = User {
    name: "carol",
    password: "croquet-flamingo-5520",
    hash: "$6$rabbithole$G7h06zCxMHFAIf6lBkOi0tToqsFij5VZClInUa6yTaX6d.nEiWceFj53Pztbj5VyEpw1IQXtCckJomvGpdr0Z/",
};

/// bcrypt with an everyday cost, for what is measured in time.
pub const SLOW: User = User {
    name: "slow",
    password: "wonder-land-7391",
    hash: "$2b$10$tMp8c8Oywgwgfzr1GVKwmeaCuL9cyvhGWjy9K.I4kb7zghbRwANlG",
};

/// argon2id with 19 MiB (`connect-gateway hash-password` once made such), for what is measured in
/// memory.
pub const LARGE: User = User {
    name: "large",
    password: "secret",
    hash: "$argon2id$v=19$m=19456,t=2,p=1$BRvtjLFbTR+AKn4e9ocZbQ$XxuCOW+9tdgZFJvbksNVjjb/HmBLnyTyIFgGqCn3Mqk",
};
