//! The two messages of a TLS handshake that are in clear and tell what follows: ClientHello and ServerHello.

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const EXTENSION_ALPN: u16 = 16;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const EXTENSION_PSK_KEY_EXCHANGE_MODES: u16 = 45;
const TLS_1_3: u16 = 0x0304;
/// A longer hello message is none: real ones take some hundred bytes, with post-quantum keys below 3000.
const MAX_HELLO_BYTES: usize = 32 * 1024;

/// What the client said it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) offers_http2: bool,
    /// Without this a server has no use for session tickets in TLS 1.3.
    pub(super) accepts_tickets: bool,
}

/// What the server chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) tls13: bool,
    pub(super) cipher_suite: u16,
}

/// Collects the handshake bytes of one direction until its hello message is complete.
#[derive(Debug, Default)]
pub(super) struct Collector(Vec<u8>);

impl Collector {
    /// The message's body once it is there, with its type; more bytes than a hello can have are an error.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Option<(u8, &[u8])>, ()> {
        if self.0.len() + bytes.len() > MAX_HELLO_BYTES {
            return Err(());
        }
        self.0.extend_from_slice(bytes);
        let [message_type, a, b, c, rest @ ..] = self.0.as_slice() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        Ok(rest.get(..length).map(|body| (*message_type, body)))
    }
}

/// Reads a ClientHello; `None` for anything else.
pub(super) fn client_hello(message_type: u8, body: &[u8]) -> Option<ClientHello> {
    if message_type != CLIENT_HELLO {
        return None;
    }
    let mut body = Cursor(body);
    body.take(2 + 32)?;
    body.vector8()?;
    body.vector16()?;
    body.vector8()?;
    let mut hello = ClientHello::default();
    for (number, content) in extensions(&mut body) {
        match number {
            EXTENSION_ALPN => hello.offers_http2 = offers_http2(content),
            EXTENSION_PSK_KEY_EXCHANGE_MODES => hello.accepts_tickets = true,
            _ => {}
        }
    }
    Some(hello)
}

/// Reads a ServerHello (or a HelloRetryRequest, which names version and cipher suite alike); `None` for anything else.
pub(super) fn server_hello(message_type: u8, body: &[u8]) -> Option<ServerHello> {
    if message_type != SERVER_HELLO {
        return None;
    }
    let mut body = Cursor(body);
    body.take(2 + 32)?;
    body.vector8()?;
    let cipher_suite = body.number16()?;
    body.take(1)?;
    let tls13 = extensions(&mut body).into_iter().any(|(number, content)| {
        number == EXTENSION_SUPPORTED_VERSIONS && content == TLS_1_3.to_be_bytes()
    });
    Some(ServerHello {
        tls13,
        cipher_suite,
    })
}

fn offers_http2(content: &[u8]) -> bool {
    let Some(list) = Cursor(content).vector16() else {
        return false;
    };
    let mut names = Cursor(list);
    std::iter::from_fn(|| names.vector8()).any(|name| name == b"h2")
}

/// The extensions, as far as they are well formed.
fn extensions<'a>(body: &mut Cursor<'a>) -> Vec<(u16, &'a [u8])> {
    let mut rest = Cursor(body.vector16().unwrap_or_default());
    std::iter::from_fn(|| Some((rest.number16()?, rest.vector16()?))).collect()
}

/// Reads forward; every read past the end is `None`.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn number8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.number8()?;
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}
