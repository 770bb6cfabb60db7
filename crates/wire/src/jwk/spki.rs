//! Public keys as certificates carry them (RFC 5280 4.1.2.7, RFC 5480, RFC 8410).

use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::{Algorithm, JwkError, PublicKey};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl PublicKey {
    /// The key of a certificate, held to the same rules as one in a JWK.
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, JwkError> {
        let key = spki.subject_public_key.as_bytes();
        let key = key.ok_or(JwkError::Malformed("subjectPublicKey"))?;
        match spki.algorithm.oid {
            EC => {
                let curve = spki.algorithm.parameters.as_ref();
                let curve = curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
                if curve != Some(P256) {
                    return Err(JwkError::Unsupported);
                }
                // SEC 1 2.3.3: a point is written whole.
                let (&[4], point) = key.split_first_chunk().ok_or(JwkError::InvalidPoint)? else {
                    return Err(JwkError::InvalidPoint);
                };
                let (x, y) = point.split_first_chunk().ok_or(JwkError::InvalidPoint)?;
                let y = y.try_into().map_err(|_| JwkError::InvalidPoint)?;
                Self::ec(Algorithm::Es256, x, y)
            }
            ED25519 => {
                let key = key.try_into().map_err(|_| JwkError::InvalidPoint)?;
                Self::okp(Algorithm::EdDsa, key)
            }
            RSA => {
                let (n, e) = rsa(key).map_err(|_| JwkError::Malformed("subjectPublicKey"))?;
                Self::rsa(Algorithm::Ps256, &n, &e)
            }
            _ => Err(JwkError::Unsupported),
        }
    }
}

/// Modulus and exponent (RFC 8017 A.1.1).
fn rsa(key: &[u8]) -> Result<(Vec<u8>, Vec<u8>), x509_cert::der::Error> {
    let mut reader = SliceReader::new(key)?;
    let read = reader.sequence(|inner| {
        let n = UintRef::decode(inner)?;
        let e = UintRef::decode(inner)?;
        Ok::<_, x509_cert::der::Error>((n.as_bytes().to_vec(), e.as_bytes().to_vec()))
    })?;
    reader.finish()?;
    Ok(read)
}
