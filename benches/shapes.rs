//! The keys and values of the benchmark's data.

/// How the keys of a set are spread.
#[derive(Clone, Copy)]
pub enum Shape {
    Decimal,
    Uuid,
    Skewed,
    Deep,
    Binary,
    /// Runs and artifacts, as [`SCHEMA`] describes them.
    Metadata,
    /// The same with keys and values of about 64 bytes.
    Scale,
}

/// The schema of [`Shape::Metadata`]: four keys an artifact, one artifact in ten begins a chain of bases, four in five
/// are used by a run.
pub const SCHEMA: &str = r#"schema: 1
name: builds
scope: [project]
kinds:
  - kind: run
    key: "{project}/runs/{id}"
    fields: ["uses/{artifact}"]
    collect: true
    root: always
    edges:
      - {field: "uses/{artifact}", to: artifact, id: "{artifact}"}
  - kind: artifact
    key: "{project}/artifacts/{id}"
    fields: [size, base, "labels/{label}"]
    collect: true
    root: never
    edges:
      - {field: base, to: artifact}
"#;

impl Shape {
    pub fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "decimal" => Self::Decimal,
            "uuid" => Self::Uuid,
            "skewed" => Self::Skewed,
            "deep" => Self::Deep,
            "binary" => Self::Binary,
            "metadata" => Self::Metadata,
            "scale" => Self::Scale,
            other => return Err(format!("{other}: no shape of keys")),
        })
    }

    /// The `n`th key below `prefix`; decimal ones have 64 bytes with a prefix of three.
    pub fn key(self, prefix: &str, n: u64) -> Vec<u8> {
        let h = mixed(n);
        let tail = match self {
            Self::Decimal => format!("{n:010}/{h:016x}{:016x}{n:018x}", mixed(h)).into_bytes(),
            Self::Uuid => format!("{h:016x}-{:016x}", mixed(h)).into_bytes(),
            Self::Skewed if !n.is_multiple_of(10) => format!("aaaa/{n:010}").into_bytes(),
            Self::Skewed => format!("{h:016x}").into_bytes(),
            Self::Deep => format!("{:x}/{:x}/{:x}/{n:x}", h & 15, (h >> 4) & 255, (h >> 12) & 15).into_bytes(),
            Self::Binary => [h.to_be_bytes(), n.to_be_bytes()].concat(),
            Self::Scale => {
                let (m, artifact) = (n / 4, padded(n / 4));
                match n % 4 {
                    0 => format!("p/artifacts/{artifact}/size"),
                    1 => format!("p/artifacts/{artifact}/base"),
                    3 if !m.is_multiple_of(5) => format!("p/runs/{m:07}/uses/{artifact}"),
                    part => format!("p/artifacts/{artifact}/labels/l{part}"),
                }
                .into_bytes()
            }
            Self::Metadata => {
                let m = n / 4;
                match n % 4 {
                    0 => format!("p/artifacts/{m}/size"),
                    1 => format!("p/artifacts/{m}/base"),
                    3 if !m.is_multiple_of(5) => format!("p/runs/{m}/uses/{m}"),
                    part => format!("p/artifacts/{m}/labels/l{part}"),
                }
                .into_bytes()
            }
        };
        [prefix.as_bytes(), &tail].concat()
    }

    /// 256 printable bytes, but for what refers to another object.
    pub fn value(self, n: u64) -> String {
        match self {
            Self::Metadata if n % 4 == 1 && has_base(n / 4) => (n / 4 - 1).to_string(),
            Self::Metadata if n % 4 == 1 => String::new(),
            Self::Metadata => "1".to_owned(),
            Self::Scale if n % 4 == 1 && has_base(n / 4) => padded(n / 4 - 1),
            Self::Scale if n % 4 == 1 => String::new(),
            Self::Scale => (0..4).map(|i| format!("{:016x}", mixed(n.wrapping_mul(31) + i))).collect(),
            _ => (0..16).map(|i| format!("{:016x}", mixed(n.wrapping_mul(31) + i))).collect(),
        }
    }
}

/// Whether an artifact refers to the one before it. One artifact in ten is referred to by nothing.
fn has_base(m: u64) -> bool {
    m > 0 && m % 10 != 1
}

/// The ID of an artifact of [`Shape::Scale`].
fn padded(m: u64) -> String {
    format!("{m:042}")
}

/// SplitMix64: spread, and the same in every run.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
