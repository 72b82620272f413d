use super::*;

/// Signatures over `message` and the forms in which signers hand them out.
#[test]
fn forms_of_signatures_are_told_apart() {
    use base64::Engine as _;
    let text = |bytes: &[u8]| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        let lines: Vec<&[u8]> = encoded.as_bytes().chunks(64).collect();
        [lines.join(&b'\n'), b"\n".to_vec()].concat()
    };
    let fixed: Vec<u8> = (0..64)
        .map(|at| if at % 32 == 0 { 0 } else { 200 })
        .collect();
    // The leading zero is gone, the one that keeps a number from being negative is there.
    let number = |number: &[u8]| [&[2, 32, 0], &number[1..]].concat();
    let body = [number(&fixed[..32]), number(&fixed[32..])].concat();
    let der = [&[0x30, 68][..], &body].concat();
    for rsa in [256, 384, 512] {
        let raw = vec![0xee; rsa];
        assert_eq!(Signature::from_signer(&raw).unwrap().as_bytes(), raw);
        assert_eq!(Signature::from_signer(&text(&raw)).unwrap().as_bytes(), raw);
    }
    let for_the_web = String::from_utf8(text(&fixed)).unwrap();
    let for_the_web = for_the_web
        .replace('+', "-")
        .replace('/', "_")
        .replace('=', "");
    for form in [
        fixed.clone(),
        text(&fixed),
        der.clone(),
        text(&der),
        for_the_web.into_bytes(),
    ] {
        let signature = Signature::from_signer(&form).unwrap();
        assert_eq!(signature.as_bytes(), fixed, "{form:?}");
        assert_eq!(
            Signature::parse(signature.to_text().as_bytes()),
            Ok(signature)
        );
    }
    for form in [
        &b""[..],
        b"error: no token",
        &[1; 63],
        &[1; 65],
        &[1; 255],
        &[1; 513],
        &der[..70 - 1],
        &[&der[..], b"x"].concat(),
    ] {
        let refused = Signature::from_signer(form);
        assert_eq!(refused, Err(TrustError::Form(form.len())), "{form:?}");
    }
    assert_eq!(Signature::parse(b"no, base64"), Err(TrustError::Base64));
}

#[test]
fn keys_that_are_none_are_refused_by_name() {
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    for (text, problem) in [
        (String::new(), "it holds no key in PEM form"),
        (
            block("CERTIFICATE"),
            "a block \"CERTIFICATE\", but a public key is needed; 'openssl x509 -in FILE -noout -pubkey'",
        ),
        (
            block("PRIVATE KEY"),
            "a block \"PRIVATE KEY\", but a public key is needed; 'openssl pkey -in FILE -pubout'",
        ),
        (
            block("RSA PUBLIC KEY"),
            "'openssl rsa -RSAPublicKey_in -in FILE -pubout'",
        ),
        (
            block("PUBLIC KEY"),
            "the key is damaged: its structure is wrong",
        ),
        (block("ENCRYPTED PRIVATE KEY"), "the key is encrypted"),
        (
            block("PUBLIC KEY").replace("AAAA", "!"),
            "its text is not base64",
        ),
        (block("EC PARAMETERS"), "it holds no key in PEM form"),
    ] {
        let refused = PublicKey::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}

#[cfg(feature = "artifact-gen")]
#[test]
fn private_keys_that_are_none_are_refused_by_name() {
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for (text, problem) in [
        (
            block("PUBLIC KEY"),
            "a block \"PUBLIC KEY\", but a private key is needed",
        ),
        (
            block("OPENSSH PRIVATE KEY"),
            "'ssh-keygen -p -m PKCS8 -f FILE'",
        ),
        (
            block("ENCRYPTED PRIVATE KEY"),
            "--sign-command 'openssl dgst -sha256 -sign KEY'",
        ),
        (old.to_owned(), "the key is encrypted"),
        (block("PRIVATE KEY"), "its structure is wrong"),
        (block("EC PRIVATE KEY"), "its structure is wrong"),
        (block("RSA PRIVATE KEY"), "the RSA key is not usable"),
    ] {
        let refused = PrivateKey::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}
