//! How a client authenticates, as flags say it.

use chancery_model::client_authentication::{
    CertificateName, ClientAuthentication, ClientAuthenticationMetadata, Method,
};
use clap::{Args, ValueEnum};

use crate::failure::Failure;

/// How a client authenticates; nothing said leaves it as it is.
#[derive(Debug, Args)]
pub(crate) struct Authentication {
    /// The one way in which it proves who it is
    #[arg(long, value_name = "METHOD", value_enum)]
    auth_method: Option<AuthMethod>,
    /// For `tls_client_auth`: the subject of its certificate, such as `CN=refund-bot,O=Acme`
    #[arg(long, value_name = "DN", group = "certificate")]
    certificate_subject: Option<String>,
    /// For `tls_client_auth`: a DNS name in its certificate
    #[arg(long, value_name = "NAME", group = "certificate")]
    certificate_dns: Option<String>,
    /// For `tls_client_auth`: a URI in its certificate, such as a SPIFFE ID
    #[arg(long, value_name = "URI", group = "certificate")]
    certificate_uri: Option<String>,
    /// For `tls_client_auth`: an IP address in its certificate
    #[arg(long, value_name = "ADDR", group = "certificate")]
    certificate_ip: Option<String>,
    /// For `tls_client_auth`: an e-mail address in its certificate
    #[arg(long, value_name = "ADDRESS", group = "certificate")]
    certificate_email: Option<String>,
    /// For the two methods by attestation: who vouches for its running copies
    #[arg(long, value_name = "NAME")]
    attester: Option<String>,
    /// Bind its access tokens to the certificate of the connection that they are fetched over
    #[arg(long)]
    bind_certificate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthMethod {
    /// An assertion, signed with a key of its own
    #[value(name = "private_key_jwt")]
    PrivateKeyJwt,
    /// A certificate of an authority that `--tls-client-ca` names
    #[value(name = "tls_client_auth")]
    Certificate,
    /// Any certificate of a key of its own
    #[value(name = "self_signed_tls_client_auth")]
    OwnCertificate,
    /// What an attester says about a running copy, and a proof by the copy
    #[value(name = "attest_jwt_client_auth")]
    Attestation,
    /// The same with a DPoP proof by the copy
    #[value(name = "attest_jwt_client_auth_dpop")]
    AttestationWithDpop,
}

impl Authentication {
    /// What was said, if anything was.
    pub(crate) fn metadata(&self) -> Result<Option<ClientAuthenticationMetadata>, Failure> {
        let names = [
            (self.certificate_subject.clone()).map(CertificateName::SubjectDn),
            self.certificate_dns.clone().map(CertificateName::Dns),
            self.certificate_uri.clone().map(CertificateName::Uri),
            self.certificate_ip.clone().map(CertificateName::Ip),
            self.certificate_email.clone().map(CertificateName::Email),
        ];
        let name = names.into_iter().flatten().next();
        let method = match (self.auth_method, name) {
            (None, None) if self.bind_certificate => {
                return Err(Failure::unreadable(
                    "`--bind-certificate` goes with the way in which it authenticates",
                )
                .with_fix("give `--auth-method` as well"));
            }
            (None, None) => return Ok(None),
            (None | Some(AuthMethod::Certificate), Some(name)) => Method::Certificate(name),
            (Some(AuthMethod::PrivateKeyJwt), None) => Method::PrivateKeyJwt,
            (Some(AuthMethod::OwnCertificate), None) => Method::OwnCertificate,
            (Some(AuthMethod::Certificate), None) => {
                return Err(Failure::unreadable(
                    "`tls_client_auth` needs the one name that the certificate must have",
                )
                .with_fix("give one of `--certificate-subject`, `--certificate-dns`, `--certificate-uri`, `--certificate-ip` and `--certificate-email`"));
            }
            (Some(AuthMethod::Attestation), None) => Method::Attestation(self.attester()?),
            (Some(AuthMethod::AttestationWithDpop), None) => {
                Method::AttestationWithDpop(self.attester()?)
            }
            (
                Some(
                    AuthMethod::PrivateKeyJwt
                    | AuthMethod::OwnCertificate
                    | AuthMethod::Attestation
                    | AuthMethod::AttestationWithDpop,
                ),
                Some(_),
            ) => {
                return Err(Failure::unreadable(
                    "the name of a certificate is for `tls_client_auth` alone",
                )
                .with_fix("leave the name out, or give `--auth-method tls_client_auth`"));
            }
        };
        let is_attested = matches!(
            method,
            Method::Attestation(_) | Method::AttestationWithDpop(_)
        );
        if self.attester.is_some() && !is_attested {
            return Err(
                Failure::unreadable("an attester is for the methods by attestation").with_fix(
                    "leave out `--attester`, or give `--auth-method attest_jwt_client_auth`",
                ),
            );
        }
        let registered = ClientAuthentication {
            method,
            is_certificate_bound: self.bind_certificate,
        };
        Ok(Some(registered.into()))
    }
}

impl Authentication {
    fn attester(&self) -> Result<String, Failure> {
        self.attester.clone().ok_or_else(|| {
            Failure::unreadable("who vouches for its running copies was not said")
                .with_fix("give `--attester NAME`, one of `chancery attester list`")
        })
    }
}

/// What is registered, for people; nothing of a client that signs assertions, as most do.
pub(crate) fn told(metadata: &ClientAuthenticationMetadata) -> Option<String> {
    if *metadata == ClientAuthenticationMetadata::default() {
        return None;
    }
    let name = [
        (&metadata.tls_client_auth_subject_dn, "subject"),
        (&metadata.tls_client_auth_san_dns, "DNS name"),
        (&metadata.tls_client_auth_san_uri, "URI"),
        (&metadata.tls_client_auth_san_ip, "IP address"),
        (&metadata.tls_client_auth_san_email, "e-mail address"),
    ];
    let name = name
        .into_iter()
        .find_map(|(name, what)| Some(format!(", {what} {}", name.as_ref()?)));
    let attester = metadata.client_attester.as_ref();
    let attester = attester.map(|name| format!(", attester {name}"));
    let name = name.or(attester);
    let bound = match metadata.tls_client_certificate_bound_access_tokens {
        true => ", tokens bound to the certificate",
        false => "",
    };
    let method = &metadata.token_endpoint_auth_method;
    Some(format!("{method}{}{bound}", name.unwrap_or_default()))
}
