use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::access_token::Cnf;

#[track_caller]
fn refused(body: &[u8], code: ErrorCode) {
    let refusal = Form::parse(body).map(drop).map_err(|error| error.code);
    assert_eq!(refusal, Err(code), "{}", String::from_utf8_lossy(body));
}

#[test]
fn a_form_has_each_parameter_once() {
    let form = Form::parse(b"grant_type=client_credentials&scope=a+b%20c&empty=&x=%C3%A4")
        .expect("a form");
    assert_eq!(form.fetch("grant_type"), Some("client_credentials"));
    assert_eq!(form.fetch("scope"), Some("a b c"));
    assert_eq!(form.fetch("x"), Some("ä"));
    assert_eq!(form.fetch("empty"), None);
    assert_eq!(form.fetch("absent"), None);
    let missing = form.require("absent", "`absent` is missing").map(drop);
    let expected = OAuthError::new(ErrorCode::InvalidRequest, "`absent` is missing");
    assert_eq!(missing, Err(expected));
    refused(b"a=1&a=1", ErrorCode::InvalidRequest);
    refused(b"a=1&a=", ErrorCode::InvalidRequest);
    refused(b"a=1&%61=2", ErrorCode::InvalidRequest);
}

#[test]
fn tok_12_a_token_is_for_one_resource() {
    let one = "resource=https%3A%2F%2Fr1.example";
    let form = Form::parse(one.as_bytes()).expect("a form");
    assert_eq!(form.fetch("resource"), Some("https://r1.example"));
    refused(format!("{one}&{one}").as_bytes(), ErrorCode::InvalidTarget);
}

#[test]
fn a_form_is_well_formed_small_and_plain() {
    for bad in [
        &b"a=%"[..],
        b"a=%2",
        b"a=%zz",
        b"a=b c",
        b"a=\xc3\xa4",
        b"a=\n",
        b"a=%00",
        b"a=%0d%0aX",
        b"%00=a",
        b"a=%ff",
    ] {
        refused(bad, ErrorCode::InvalidRequest);
    }
    refused(&vec![b'a'; FORM_LIMIT + 1], ErrorCode::InvalidRequest);
    let many: Vec<String> = (0..65).map(|n| format!("p{n}=1")).collect();
    refused(many.join("&").as_bytes(), ErrorCode::InvalidRequest);
    assert!(Form::parse(many[..64].join("&").as_bytes()).is_ok());
    assert!(Form::parse(b"").is_ok());
    let form = Form::parse(b"client_assertion=hunter2").expect("a form");
    assert!(!format!("{form:?}").contains("hunter2"));
}

#[test]
fn tok_11_errors_say_the_code_and_a_sentence_of_ours() {
    let error = OAuthError::new(ErrorCode::InvalidScope, "the scope is not valid");
    assert_eq!(
        serde_json::to_string(&error).expect("JSON"),
        r#"{"error":"invalid_scope","error_description":"the scope is not valid"}"#
    );
    assert_eq!(ErrorCode::InvalidClient.status(), 401);
    assert_eq!(ErrorCode::UseDpopNonce.status(), 400);
}

#[test]
fn a_token_response_shows_its_token_to_the_client_only() {
    let response = TokenResponse {
        access_token: "hunter2".to_owned(),
        token_type: TokenType::DPoP,
        expires_in: 300,
        scope: None,
        authorization_details: None,
        refresh_token: None,
        id_token: None,
    };
    assert_eq!(
        serde_json::to_value(&response).expect("JSON"),
        json!({"access_token": "hunter2", "token_type": "DPoP", "expires_in": 300})
    );
    assert!(!format!("{response:?}").contains("hunter2"));
}

#[test]
fn introspection_says_nothing_of_what_is_inactive() {
    let text = |answer: &Introspection<'_>| serde_json::to_value(answer).expect("JSON");
    assert_eq!(text(&Introspection::Inactive), json!({"active": false}));
    let mut claims = Claims {
        iss: "https://as.example".to_owned(),
        sub: "s".to_owned(),
        aud: "https://r.example".to_owned(),
        client_id: "c".to_owned(),
        iat: 1,
        exp: 2,
        jti: "tok_01hzy0000000000000000000aa".parse().expect("an id"),
        scope: None,
        authorization_details: None,
        cnf: None,
        auth_time: None,
        acr: None,
        act: None,
        grant_id: None,
        agent: None,
    };
    let bearer = text(&Introspection::Active(&claims));
    assert_eq!(bearer["active"], true);
    assert_eq!(bearer["token_type"], "Bearer");
    assert_eq!(bearer["exp"], 2);
    claims.cnf = Some(Cnf {
        jkt: Some("k".to_owned()),
        x5t: None,
    });
    let bound = text(&Introspection::Active(&claims));
    assert_eq!(bound["token_type"], "DPoP");
    assert_eq!(bound["cnf"], json!({"jkt": "k"}));
}

#[test]
fn mcp_02_an_authorization_header_is_one_scheme_and_one_token() {
    assert_eq!(
        authorization_header("Bearer a.b-c_~+/=="),
        Ok(Credential::Bearer("a.b-c_~+/=="))
    );
    assert_eq!(
        authorization_header("bearer abc"),
        Ok(Credential::Bearer("abc"))
    );
    assert_eq!(
        authorization_header("DPOP abc"),
        Ok(Credential::Dpop("abc"))
    );
    assert_eq!(
        authorization_header("Basic YTpi"),
        Ok(Credential::Basic("YTpi"))
    );
    for bad in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer  abc",
        " Bearer abc",
        "Bearer abc ",
        "Bearer abc def",
        "Bearer abc, DPoP def",
        "Bearer abc,Bearer def",
        "Bearer\tabc",
        "Bearer =",
        "Bearer a=b",
        "Bearer \"abc\"",
        "Bearer ä",
        "Bearer abc\r\nX: y",
        "Token abc",
        "abc",
    ] {
        assert_eq!(
            authorization_header(bad),
            Err(InvalidAuthorization),
            "{bad:?}"
        );
    }
    let shown = format!("{:?}", authorization_header("Bearer hunter2"));
    assert!(!shown.contains("hunter2"));
}

#[test]
fn challenges_name_what_is_wrong() {
    assert_eq!(Challenge::new(Scheme::Bearer).to_string(), "Bearer");
    let error = OAuthError::new(ErrorCode::InvalidToken, "the token has expired");
    let challenge = Challenge::new(Scheme::Dpop)
        .error(error)
        .scope("crm.read")
        .resource_metadata("https://h.example/.well-known/oauth-protected-resource/mcp");
    assert_eq!(
        challenge.to_string(),
        concat!(
            r#"DPoP error="invalid_token", error_description="the token has expired", "#,
            r#"scope="crm.read", "#,
            r#"resource_metadata="https://h.example/.well-known/oauth-protected-resource/mcp", "#,
            r#"algs="ES256 EdDSA PS256""#,
        )
    );
}

proptest! {
    #[test]
    fn no_value_ends_its_quotes(scope in "\\PC{0,40}|[\"\\\\\r\n, =a-z]{0,40}") {
        let text = Challenge::new(Scheme::Bearer).scope(&scope).to_string();
        let inner = text.strip_prefix("Bearer scope=\"").expect("a scope");
        let inner = inner.strip_suffix('"').expect("its end");
        prop_assert!(inner.chars().all(|letter| matches!(letter, ' '..='~')));
        prop_assert!(!inner.contains(['"', '\\']));
    }

    #[test]
    fn any_bytes_are_a_form_or_refused_without_panic(body: Vec<u8>) {
        let _ = Form::parse(&body);
    }

    #[test]
    fn a_form_is_read_as_the_library_reads_it(body in "[ab=&+%2026]{0,24}") {
        if let Ok(form) = Form::parse(body.as_bytes()) {
            let read: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).collect();
            prop_assert_eq!(form.parameters, read);
        }
    }

    #[test]
    fn a_token_has_the_letters_of_token68(token in "[ -~]{0,12}") {
        let body = token.trim_end_matches('=');
        let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._~+/".contains(letter);
        let expected = !body.is_empty() && body.chars().all(legal);
        prop_assert_eq!(authorization_header(&format!("Bearer {token}")).is_ok(), expected);
    }
}
