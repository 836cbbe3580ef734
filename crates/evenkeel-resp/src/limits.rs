//! How much one peer may make this side hold: every bound of the codec.
//!
//! Requests are bounded before and after authentication; the first preset is
//! strict because anyone who reaches the port is held to it, whether or not a
//! password is set (Redis applies its own only when one is). What happens at a
//! bound is always the same: the decoder answers an error and the connection
//! is to be closed.

/// Bytes in one argument of an authenticated client.
const BULK_BYTES_MAX: usize = 64 << 20;
/// Bytes in one request of an authenticated client.
const REQUEST_BYTES_MAX: usize = 128 << 20;
/// Arguments in one request of an authenticated client.
const ARGS_MAX: usize = 1 << 20;
/// Bytes in an inline request or a header line (Redis: `PROTO_INLINE_MAX_SIZE`).
const INLINE_BYTES_MAX: usize = 64 << 10;

const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 << 10;
const UNAUTHENTICATED_REQUEST_BYTES_MAX: usize = 64 << 10;
const UNAUTHENTICATED_ARGS_MAX: usize = 10;

/// Spans of arguments are kept as `u32`, so a request ends below 4 GiB
/// whatever is configured.
pub(crate) const REQUEST_BYTES_CEILING: usize = u32::MAX as usize;

// A value of the largest allowed size must fit in a request with its key.
const _: () = assert!(BULK_BYTES_MAX < REQUEST_BYTES_MAX);
const _: () = assert!(UNAUTHENTICATED_BULK_BYTES_MAX < UNAUTHENTICATED_REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_BYTES_MAX < REQUEST_BYTES_CEILING);

/// Whether the client has proved who it is: decides which error text a refused
/// length gets, as in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Before `AUTH` or `HELLO … AUTH`.
    Unauthenticated,
    /// A known user.
    Authenticated,
}

/// The bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one argument.
    pub bulk_bytes_max: usize,
    /// Arguments in one request, the command name among them; inline too.
    pub args_max: usize,
    /// Bytes in an inline request, and in a count or length line.
    pub inline_bytes_max: usize,
    /// Bytes in one request with its framing. At most 4 GiB - 1 is honoured.
    pub request_bytes_max: usize,
    /// Which client this is for.
    pub trust: Trust,
}

impl Limits {
    /// For a known user: 64 MiB arguments in 128 MiB requests.
    #[must_use]
    pub const fn authenticated() -> Self {
        Self {
            bulk_bytes_max: BULK_BYTES_MAX,
            args_max: ARGS_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            request_bytes_max: REQUEST_BYTES_MAX,
            trust: Trust::Authenticated,
        }
    }

    /// For everybody else: 10 arguments of 16 KiB in 64 KiB requests.
    #[must_use]
    pub const fn unauthenticated() -> Self {
        Self {
            bulk_bytes_max: UNAUTHENTICATED_BULK_BYTES_MAX,
            args_max: UNAUTHENTICATED_ARGS_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            request_bytes_max: UNAUTHENTICATED_REQUEST_BYTES_MAX,
            trust: Trust::Unauthenticated,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::authenticated()
    }
}

/// The bounds of one reply, for the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Bytes in one reply with its framing. Decoded it may take 32 times as
    /// much, if a hostile server sends nothing but nulls.
    pub reply_bytes_max: usize,
    /// Bytes in a line: simple strings, errors, numbers, headers.
    pub line_bytes_max: usize,
    /// Aggregates inside one another. Dropping or comparing a [`crate::Reply`]
    /// recurses this deep, so keep it in the hundreds.
    pub depth_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            reply_bytes_max: 1 << 30,
            line_bytes_max: 64 << 10,
            depth_max: 128,
        }
    }
}
