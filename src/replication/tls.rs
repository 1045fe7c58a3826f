//! TLS towards a source, as strict as its URL asks for and no stricter than sqlx.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Error,
    address::{Address, Pem, TlsMode},
};

/// Shakes hands with the server.
///
/// # Errors
/// [`Error::NotLetIn`] where the certificates can't be used or the server's is not trusted; [`Error::Connection`].
pub(super) async fn secured(socket: TcpStream, host: &str, address: &Address) -> Result<TlsStream<TcpStream>, Error> {
    let config = config(address).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::NotLetIn(error.to_string()))?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|error| {
        if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            Error::NotLetIn(format!("TLS: {error}"))
        } else {
            Error::Connection(error)
        }
    })
}

async fn config(address: &Address) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(not_let_in)?;
    let verifier: Arc<dyn ServerCertVerifier> = match address.tls {
        TlsMode::VerifiedAuthority | TlsMode::VerifiedHost => {
            let roots = Arc::new(trusted(address).await?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(not_let_in)?;
            match address.tls {
                TlsMode::VerifiedHost => verifier,
                _ => Arc::new(AnyHost(verifier)),
            }
        }
        TlsMode::None | TlsMode::Preferred | TlsMode::Required => Arc::new(Anybody(provider)),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match (&address.client_certificate, &address.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).await?;
            let key = PrivateKeyDer::from_pem_slice(&text(key).await?).map_err(not_let_in)?;
            builder.with_client_auth_cert(chain, key).map_err(not_let_in)
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// The authorities that the system trusts, and the one that the URL names.
async fn trusted(address: &Address) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(own) = &address.root_certificate {
        for certificate in certificates(own).await? {
            roots.add(certificate).map_err(not_let_in)?;
        }
    }
    Ok(roots)
}

async fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(&text(pem).await?).collect::<Result<_, _>>().map_err(not_let_in)
}

async fn text(pem: &Pem) -> Result<Vec<u8>, Error> {
    match pem {
        Pem::Text(text) => Ok(text.as_bytes().to_vec()),
        Pem::File(path) => {
            tokio::fs::read(path).await.map_err(|error| Error::NotLetIn(format!("{}: {error}", path.display())))
        }
    }
}

fn not_let_in(error: impl ToString) -> Error {
    Error::NotLetIn(format!("TLS: {}", error.to_string()))
}

/// Trusts whoever has a certificate of a trusted authority, for whatever host.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

/// Trusts whoever answers; what is said is hidden from those who only listen.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

type Signature = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Signature {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Signature {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Signature {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Signature {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
