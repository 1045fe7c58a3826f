//! A connection of the kind that changes are streamed over: reached, let in, and streaming when it is made.

use std::time::Duration;

use md5::{Digest, Md5};
use pgwire_replication::{
    Lsn, PgWireError,
    auth::ScramClient,
    protocol::{
        framing::{
            BackendMessage, MessageReader, write_copy_data, write_copy_done, write_password_message, write_query,
            write_ssl_request, write_startup_message,
        },
        messages::{ErrorFields, auth, parse_auth_request},
        replication::{ReplicationCopyData, encode_standby_status_update, parse_copy_data},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{
    Error,
    address::{Address, Place, TlsMode},
    quoted,
    tls::secured,
};
use crate::reach;

/// Reaching the source, being let in and the stream's beginning, together.
const OPENS_WITHIN: Duration = Duration::from_secs(30);
/// What the source may take to say that it has stopped.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);
/// A message is held in memory whole. Larger ones come only from tables whose whole rows are sent.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// The third version of PostgreSQL's protocol.
const PROTOCOL: i32 = 3 << 16;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(super) struct Connection {
    wire: BufReader<Box<dyn Wire>>,
    reader: MessageReader,
}

impl Connection {
    /// Streams from where the slot was confirmed last, which the server knows.
    ///
    /// # Errors
    /// [`Error::SlotInUse`] where somebody else streams from it; see [`Error`] for the rest.
    pub(super) async fn open(url: &str, slot: &str, publication: &str) -> Result<Self, Error> {
        let address = Address::read(url)?;
        let opening = async {
            let wire = reach(&address).await?;
            let reader = MessageReader::new().with_max_message_size(MAX_MESSAGE_BYTES);
            let mut connection = Self { wire: BufReader::with_capacity(64 << 10, wire), reader };
            connection.enter(&address, slot).await?;
            connection.start(slot, publication).await?;
            Ok(connection)
        };
        timeout(OPENS_WITHIN, opening).await.unwrap_or(Err(Error::Silent))
    }

    /// The next thing that the server says. May be dropped and asked again: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<ReplicationCopyData, Error> {
        loop {
            let message = self.read().await?;
            match message.tag {
                b'd' => return Ok(parse_copy_data(message.payload)?),
                b'c' | b'C' => return Err(Error::Connection(std::io::ErrorKind::ConnectionAborted.into())),
                _ => {}
            }
        }
    }

    /// Tells the server what it need not keep any more; with zero, nothing. It answers.
    ///
    /// Written, flushed and applied are one position: were more told to be written than is confirmed, the server would not tell by
    /// itself how far it has read while nothing of the table changes.
    pub(super) async fn confirm(&mut self, position: Lsn) -> Result<(), Error> {
        // The server shows our clock to people, and uses it for nothing.
        let status = encode_standby_status_update(position, 0, true);
        Ok(write_copy_data(&mut self.wire, &status).await?)
    }

    /// Ends the stream. When this returns the slot is free, unless the server was slow to answer.
    pub(super) async fn close(mut self) {
        let ending = async {
            write_copy_done(&mut self.wire).await?;
            while self.read().await?.tag != b'Z' {}
            Ok::<_, Error>(())
        };
        let _ = timeout(CLOSES_WITHIN, ending).await;
    }

    /// One message; what the server refuses is an error.
    async fn read(&mut self) -> Result<BackendMessage, Error> {
        let message = self.reader.read(&mut self.wire).await?;
        if message.is_error() {
            let fields = ErrorFields::parse(&message.payload);
            return Err(Error::refused(&fields.code.unwrap_or_default(), fields.message.unwrap_or_default()));
        }
        Ok(message)
    }

    /// Says who we are, and proves it.
    async fn enter(&mut self, address: &Address, slot: &str) -> Result<(), Error> {
        let parameters = [
            ("user", address.user.as_str()),
            ("database", &address.database),
            ("replication", "database"),
            ("client_encoding", "UTF8"),
            ("application_name", slot),
            ("options", &address.options),
        ];
        write_startup_message(&mut self.wire, PROTOCOL, &parameters).await?;
        loop {
            let message = self.read().await?;
            match message.tag {
                b'Z' => return Ok(()),
                b'R' => {
                    let (method, rest) = parse_auth_request(&message.payload)?;
                    self.prove(address, method, rest).await?;
                }
                _ => {}
            }
        }
    }

    async fn prove(&mut self, address: &Address, method: i32, rest: &[u8]) -> Result<(), Error> {
        match method {
            auth::OK => Ok(()),
            auth::CLEARTEXT_PASSWORD => self.password(&address.password).await,
            auth::MD5_PASSWORD => self.password(&md5_answer(&address.user, &address.password, rest)).await,
            auth::SASL if rest.split(|&byte| byte == 0).any(|name| name == b"SCRAM-SHA-256") => {
                self.scram(&address.password).await
            }
            _ => Err(Error::NotLetIn("the source asks for a kind of proof that is not known here".to_owned())),
        }
    }

    async fn password(&mut self, password: &str) -> Result<(), Error> {
        Ok(write_password_message(&mut self.wire, &[password.as_bytes(), b"\0"].concat()).await?)
    }

    async fn scram(&mut self, password: &str) -> Result<(), Error> {
        // The server takes the user's name from the start of the connection.
        let client = ScramClient::new("");
        let first = client.client_first.as_bytes();
        let length = u32::try_from(first.len()).expect("a short text").to_be_bytes();
        let initial = [b"SCRAM-SHA-256\0", &length[..], first].concat();
        write_password_message(&mut self.wire, &initial).await?;
        let server_first = self.scram_answer(auth::SASL_CONTINUE).await?;
        let (answer, exchange, salted) = client.client_final(password, &server_first)?;
        write_password_message(&mut self.wire, answer.as_bytes()).await?;
        let server_final = self.scram_answer(auth::SASL_FINAL).await?;
        Ok(ScramClient::verify_server_final(&server_final, &salted, &exchange)?)
    }

    async fn scram_answer(&mut self, expected: i32) -> Result<String, Error> {
        let message = self.read().await?;
        match parse_auth_request(&message.payload)? {
            (method, rest) if message.is_auth_request() && method == expected => {
                Ok(String::from_utf8_lossy(rest).into_owned())
            }
            _ => Err(PgWireError::Auth("the source broke off its proof".to_owned()).into()),
        }
    }

    async fn start(&mut self, slot: &str, publication: &str) -> Result<(), Error> {
        let publication = quoted(publication).replace('\'', "''");
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names '{publication}')",
            quoted(slot)
        );
        write_query(&mut self.wire, &command).await?;
        while !self.read().await.map_err(|error| error.of_slot(slot))?.is_copy_both_response() {}
        Ok(())
    }
}

/// A connection to the server's door, secured as the address asks for.
async fn reach(address: &Address) -> Result<Box<dyn Wire>, Error> {
    let (host, port) = match &address.place {
        Place::Socket(path) => {
            reach::policy().judge_socket().map_err(refused)?;
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        Place::Host(host, port) => (host, *port),
    };
    let addresses = reach::resolve(host, port).await;
    let addresses = addresses.map_err(|error| reach::refusal(&error).map_or(Error::Connection(error), refused))?;
    let mut socket = TcpStream::connect(addresses.as_slice()).await?;
    socket.set_nodelay(true)?;
    if address.tls == TlsMode::None {
        return Ok(Box::new(socket));
    }
    write_ssl_request(&mut socket).await?;
    match socket.read_u8().await? {
        b'S' => Ok(Box::new(secured(socket, host, address).await?)),
        b'N' if address.tls == TlsMode::Preferred => Ok(Box::new(socket)),
        _ => Err(Error::NotLetIn("the source does not offer TLS, which its URL asks for".to_owned())),
    }
}

fn refused(refused: reach::Refused) -> Error {
    Error::NotLetIn(refused.to_string())
}

fn md5_answer(user: &str, password: &str, salt: &[u8]) -> String {
    let inner = hex::encode(Md5::digest([password, user].concat()));
    format!("md5{}", hex::encode(Md5::digest([inner.as_bytes(), salt].concat())))
}

#[cfg(test)]
mod tests {
    use super::md5_answer;

    #[test]
    fn a_password_is_hashed_as_postgres_does() {
        // As told by: select 'md5' || md5(convert_to(md5('secret' || 'alice'), 'UTF8') || '\x01020304')
        assert_eq!(md5_answer("alice", "secret", &[1, 2, 3, 4]), "md598a0412b9c31436fc53776e863350083");
    }
}
