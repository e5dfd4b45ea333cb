use super::*;
use expect_test::expect;

const TOML: &str = include_str!("../../../../../docker/image.toml");
const IMAGE: &str = "registry.example/team/shop:production";

fn all(toml: &str, services: bool) -> Vec<(String, String)> {
    files(&crate::config::parse(toml).unwrap(), IMAGE, services)
}

fn file(files: &[(String, String)], name: &str) -> String {
    let found = files.iter().find(|(path, _)| path == &format!("senex_trader{name}"));
    found.unwrap_or_else(|| panic!("{name}")).1.clone()
}

#[test]
fn each_role_is_hardened_waits_for_the_others_and_follows_the_tag() {
    let files = all(TOML, true);
    let names: Vec<&str> =
        files.iter().map(|(name, _)| name.strip_prefix("senex_trader").unwrap()).collect();
    assert_eq!(
        names,
        [
            ".network",
            "-postgres.container",
            "-database.volume",
            "-redis.container",
            "-redis.volume",
            "-migrate.container",
            "-web.container",
            "-media.volume",
            "-worker.container",
            "-beat.container",
            "-schedule.volume",
        ]
    );
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.

        [Unit]
        Description=senex_trader web
        Wants=senex_trader-postgres.service senex_trader-redis.service senex_trader-migrate.service
        After=senex_trader-postgres.service senex_trader-redis.service senex_trader-migrate.service

        [Container]
        ContainerName=senex_trader-web
        Image=registry.example/team/shop:production
        AutoUpdate=registry
        HealthOnFailure=stop
        EnvironmentFile=senex_trader.env
        Exec=web
        Network=senex_trader.network
        NetworkAlias=web
        Environment=DB_NAME=senex_trader
        Environment=DB_USER=senex_trader
        Environment=SECRET_KEY_FILE=/run/secrets/secret-key
        Environment=FIELD_ENCRYPTION_KEY_FILE=/run/secrets/field-encryption-key
        Environment=DB_PASSWORD_FILE=/run/secrets/db-password
        Environment=MIGRATE=0
        Environment=STOP_GRACE_PERIOD=30
        Secret=senex_trader-secret-key,target=secret-key
        Secret=senex_trader-field-encryption-key,target=field-encryption-key
        Secret=senex_trader-db-password,target=db-password
        PublishPort=127.0.0.1:8000:8000
        Volume=senex_trader-media.volume:/app/media
        NoNewPrivileges=true
        ReadOnly=true
        DropCapability=ALL
        Tmpfs=/tmp:size=256m
        PidsLimit=200
        PodmanArgs=--memory=1g
        StopTimeout=30
        # Started means healthy: `podman auto-update` rolls back an update that never gets there.
        Notify=healthy

        [Service]
        TimeoutStartSec=900
        TimeoutStopSec=45
        Restart=always
        RestartSec=5

        [Install]
        WantedBy=default.target
    "#]]
    .assert_eq(&file(&files, "-web.container"));
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.

        [Unit]
        Description=senex_trader migrate
        Wants=senex_trader-postgres.service senex_trader-redis.service
        After=senex_trader-postgres.service senex_trader-redis.service

        [Container]
        ContainerName=senex_trader-migrate
        Image=registry.example/team/shop:production
        EnvironmentFile=senex_trader.env
        Exec=migrate
        Network=senex_trader.network
        NetworkAlias=migrate
        Environment=DB_NAME=senex_trader
        Environment=DB_USER=senex_trader
        Environment=SECRET_KEY_FILE=/run/secrets/secret-key
        Environment=FIELD_ENCRYPTION_KEY_FILE=/run/secrets/field-encryption-key
        Environment=DB_PASSWORD_FILE=/run/secrets/db-password
        Environment=MIGRATE=0
        Environment=STOP_GRACE_PERIOD=30
        Secret=senex_trader-secret-key,target=secret-key
        Secret=senex_trader-field-encryption-key,target=field-encryption-key
        Secret=senex_trader-db-password,target=db-password
        NoNewPrivileges=true
        ReadOnly=true
        DropCapability=ALL
        Tmpfs=/tmp:size=256m
        PidsLimit=200
        PodmanArgs=--memory=1g
        StopTimeout=30

        [Service]
        TimeoutStartSec=900
        TimeoutStopSec=45
        # Not RemainAfterExit: each start of a role runs it, so that an update migrates before it serves.
        Type=oneshot
    "#]].assert_eq(&file(&files, "-migrate.container"));
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.

        [Unit]
        Description=senex_trader postgres

        [Container]
        ContainerName=senex_trader-postgres
        Image=docker.io/library/postgres:16
        Network=senex_trader.network
        NetworkAlias=postgres
        Environment=POSTGRES_USER=senex_trader
        Environment=POSTGRES_DB=senex_trader
        Environment=POSTGRES_PASSWORD_FILE=/run/secrets/db-password
        Secret=senex_trader-db-password,target=db-password
        Volume=senex_trader-database.volume:/var/lib/postgresql/data
        NoNewPrivileges=true
        ShmSize=128m
        PodmanArgs=--memory=1g
        StopTimeout=60
        HealthCmd=pg_isready --username senex_trader
        HealthInterval=5s
        HealthTimeout=5s
        HealthRetries=12
        # Started means healthy: `podman auto-update` rolls back an update that never gets there.
        Notify=healthy

        [Service]
        TimeoutStartSec=900
        TimeoutStopSec=75
        Restart=always
        RestartSec=5

        [Install]
        WantedBy=default.target
    "#]]
    .assert_eq(&file(&files, "-postgres.container"));
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.

        [Unit]
        Description=senex_trader redis

        [Container]
        ContainerName=senex_trader-redis
        Image=docker.io/library/redis:7
        Exec=redis-server --bind 0.0.0.0 --protected-mode no --appendonly yes
        Network=senex_trader.network
        NetworkAlias=redis
        WorkingDir=/var/lib/redis
        Volume=senex_trader-redis.volume:/var/lib/redis
        NoNewPrivileges=true
        ReadOnly=true
        DropCapability=ALL
        Tmpfs=/tmp
        PidsLimit=200
        AddCapability=CHOWN DAC_OVERRIDE SETGID SETUID
        PodmanArgs=--memory=512m
        HealthCmd=redis-cli ping
        HealthInterval=5s
        HealthTimeout=5s
        HealthRetries=12
        # Started means healthy: `podman auto-update` rolls back an update that never gets there.
        Notify=healthy

        [Service]
        TimeoutStartSec=900
        Restart=always
        RestartSec=5

        [Install]
        WantedBy=default.target
    "#]]
    .assert_eq(&file(&files, "-redis.container"));
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.

        [Volume]
        VolumeName=senex_trader-media
    "#]]
    .assert_eq(&file(&files, "-media.volume"));
    expect![[r#"
        # Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.
        # One server with systemd and Podman 5.2 or newer. As the user that it runs as:
        #
        #   loginctl enable-linger
        #   podman login --authfile ~/.config/containers/auth.json registry.example    # if it asks for one
        #   podman secret create senex_trader-secret-key FILE
        #   podman secret create senex_trader-field-encryption-key FILE
        #   podman secret create senex_trader-db-password FILE
        #   mkdir -p ~/.config/containers/systemd
        #   cp senex_trader.network senex_trader-* ~/.config/containers/systemd/
        #   echo ALLOWED_HOSTS=www.example.com >~/.config/containers/systemd/senex_trader.env
        #   systemctl --user daemon-reload
        #   systemctl --user start senex_trader-web senex_trader-worker senex_trader-beat
        #   systemctl --user enable --now podman-auto-update.timer
        #
        # senex_trader.env has the server's variables, NAME=VALUE a line without quotes (docs/environment.md). Put
        # a proxy that ends TLS before 127.0.0.1:8000. For root it is /etc/containers/systemd, without --user.
        #
        # `cargo xtask promote … --to production` moves the tag. The timer looks at it once a day,
        # `podman auto-update` at once. What else this server needs goes into drop-in files next to these,
        # such as senex_trader-web.container.d/own.conf: nothing writes there.

        [Network]
        NetworkName=senex_trader
    "#]].assert_eq(&file(&files, ".network"));
}

#[test]
fn a_project_s_own_variables_secrets_and_roles_are_there() {
    let own = "[app.environment]\nBROKER = \"{redis_url}\"\nDATABASE_URL = \"{database_url}\"\n\
               GREETING = \"50 % \\\"off\\\", $5\"\n";
    let toml = TOML
        .replace("# [app.environment]\n", own)
        .replace("\n[smoke]\n", "\n[smoke]\nroles = [\"gunicorn\", \"worker\"]\n");
    let check = |services: bool, lines: &[(&str, bool)]| {
        let files = all(&toml, services);
        let (web, network) = (file(&files, "-web.container"), file(&files, ".network"));
        assert!(!files.iter().any(|(name, _)| name.contains("-beat.")), "{files:?}");
        assert!(network.contains(" start senex_trader-web senex_trader-worker\n"), "{network}");
        assert!(file(&files, "-defaults.env").ends_with("\nGREETING=50 % \"off\", $5\n"));
        for (line, there) in lines {
            assert_eq!(web.lines().any(|one| one == *line), *there, "{line}\n{web}");
        }
    };
    let always = [
        ("Exec=gunicorn", true),
        ("Environment=DATABASE_URL_FILE=/run/secrets/database-url", true),
        ("Secret=senex_trader-database-url,target=database-url", true),
        ("EnvironmentFile=senex_trader-defaults.env", true),
        ("Environment=MIGRATE=0", true),
    ];
    check(true, &always);
    check(false, &always);
    let after = "Wants=senex_trader-postgres.service senex_trader-redis.service \
                 senex_trader-migrate.service";
    let with = ["Environment=DB_NAME=senex_trader", "Environment=BROKER=redis://redis:6379/0"];
    check(true, &[(with[0], true), (with[1], true), (after, true)]);
    let alone = "Wants=senex_trader-migrate.service";
    check(false, &[(with[0], false), (with[1], false), (alone, true)]);
}
