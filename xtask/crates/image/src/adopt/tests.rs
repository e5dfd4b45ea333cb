use super::*;
use crate::config;
use expect_test::{Expect, expect};

fn check(files: &[(&str, &str)], expected: Expect) {
    let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let shown = match found(&texts) {
        Ok(found) => {
            let template = include_str!("../../../../../docker/image.toml");
            let keys: Vec<(String, String, String)> = found
                .keys
                .iter()
                .map(|(t, k, v)| ((*t).to_owned(), k.clone(), v.clone()))
                .collect();
            let whole = image_toml(template, &keys);
            if let Err(mistakes) = config::parse(&whole) {
                panic!("{mistakes:#?}\n{whole}");
            }
            let keys =
                found.keys.iter().map(|(table, key, value)| format!("[{table}] {key} = {value}\n"));
            keys.collect::<String>()
                + &found.told.iter().map(|line| format!("- {line}\n")).collect::<String>()
        }
        Err(why) => why,
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_stock_project() {
    check(
        &[
            ("app/manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')"),
            ("app/shop/settings.py", "SECRET_KEY = 'django-insecure-x'\n"),
            (
                "app/shop/wsgi.py",
                "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')",
            ),
            ("app/shop/asgi.py", ""),
            ("app/shop/urls.py", "path('admin/', admin.site.urls)"),
        ],
        expect![[r#"
            [app] module = "shop"
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] required_environment = []
            - no lock of the Python packages was found: `uv lock`, or a requirements.txt with hashes
            - no server is locked: add gunicorn, daphne or uvicorn to the project's packages
            - the settings read no SECRET_KEY from the environment: the image would have a key that everybody knows
            - no settings set STATIC_ROOT, which collectstatic needs: STATIC_ROOT = BASE_DIR / "staticfiles"
            - shop/urls.py has no page for the health check, /health/: add one that answers 200 (docs/adopting.md), or set path below [health]
        "#]],
    );
}

#[test]
fn code_at_the_top_with_requirements_and_split_settings() {
    check(
        &[
            (
                "manage.py",
                "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"trader.settings.development\")",
            ),
            (
                "requirements.txt",
                "Django==5.1\ncelery[redis]==5.4\ndaphne==4\ngunicorn==23\npsycopg2-binary==2.9\n",
            ),
            ("trader/settings/__init__.py", ""),
            (
                "trader/settings/base.py",
                "import os\nSECRET_KEY = os.environ.get('SECRET_KEY')\nFIELD_ENCRYPTION_KEY = os.environ['FIELD_ENCRYPTION_KEY']\nCELERY_BROKER_URL = os.environ.get(\"CELERY_BROKER_URL\", \"redis://\")\nSTATIC_ROOT = BASE_DIR / \"staticfiles\"\n",
            ),
            (
                "trader/settings/production.py",
                "from .base import *\nALLOWED_HOSTS = os.environ.get('ALLOWED_HOSTS', '').split(',')\n",
            ),
            ("trader/settings/development.py", ""),
            ("trader/settings/staging.py", ""),
            ("trader/asgi.py", ""),
            ("trader/wsgi.py", ""),
            ("trader/__init__.py", "from .celery import app as celery_app\n"),
            ("trader/celery.py", "app = Celery('trader')\napp.conf.beat_schedule = {}\n"),
            ("trader/urls.py", "path('health/', health),\n"),
        ],
        expect![[r#"
            [app] folder = "."
            [app] module = "trader"
            [app] settings = { production = "trader.settings.production", development = "trader.settings.development", staging = "trader.settings.staging" }
            [app] lock = "requirements.txt"
            [app] queues = "celery"
            [app] required_environment = ["FIELD_ENCRYPTION_KEY", "SECRET_KEY"]
            [app.environment] ALLOWED_HOSTS = "localhost,127.0.0.1"
            [app.environment] CELERY_BROKER_URL = "{redis_url}"
            - requirements.txt has no hashes; `cargo xtask doctor` says how to make them
        "#]],
    );
}

#[test]
fn settings_in_a_config_package_with_urls_of_services() {
    check(
        &[
            (
                "manage.py",
                "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"config.settings.local\")",
            ),
            (
                "uv.lock",
                "version = 1\n\n[[package]]\nname = \"gunicorn\"\nsource = { registry = \"x\" }\nsdist = { url = \"y\" }\nwheels = [\n]\n\n[[package]]\nname = \"svglib\"\nsource = { registry = \"x\" }\nsdist = { url = \"y\" }\n\n[[package]]\nname = \"psycopg\"\nwheels = [\n]\n\n[[package]]\nname = \"psycopg-c\"\nsource = { registry = \"x\" }\nsdist = { url = \"y\" }\n\n[[package]]\nname = \"push\"\nsource = { git = \"https://git.example/p\" }\n",
            ),
            ("config/settings/__init__.py", ""),
            (
                "config/settings/base.py",
                "DATABASES = {\"default\": env.db(\"DATABASE_URL\")}\nSTATIC_ROOT = str(BASE_DIR / \"public\" / \"static\")\n",
            ),
            (
                "config/settings/local.py",
                "STATIC_ROOT = BASE_DIR / 'local'\nROOT_URLCONF = 'config.routes'\n",
            ),
            (
                "config/settings/production.py",
                "SECRET_KEY = env(\"DJANGO_SECRET_KEY\")\nMEDIA_ROOT = os.path.join(BASE_DIR, 'uploads')\n",
            ),
            (
                "config/wsgi.py",
                "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"config.settings.production\")",
            ),
            ("config/celery_app.py", "app = Celery(\"shop\")\n"),
            ("config/routes.py", "path(\"api/status/\", status),\n"),
        ],
        expect![[r#"
            [app] folder = "."
            [app] module = "config"
            [app] settings = { production = "config.settings.production", development = "config.settings.local" }
            [app] packages = ["libpq5"]
            [app] build_from_source = ["svglib", "psycopg-c", "push"]
            [app] build_packages = ["git", "gcc", "libc6-dev", "libpq-dev"]
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] required_environment = ["DJANGO_SECRET_KEY"]
            [app.environment] DATABASE_URL = "{database_url}"
            [app] static_root = "public/static"
            [health] path = "/api/status/"
            - packages that git fetches: push
            - packages without a wheel, which are built in the image: svglib, psycopg-c, push
            - `MEDIA_ROOT = os.path.join(BASE_DIR, 'uploads')`: in the image uploads can only be written to /app/media, so let a variable decide, and set that to "/app/media" below [app.environment]
        "#]],
    );
}

#[test]
fn a_manage_py_that_names_no_settings() {
    check(
        &[
            ("web/manage.py", "main()"),
            ("web/uv.lock", "\n[[package]]\nname = \"gunicorn\"\n"),
            ("web/site/wsgi.py", ""),
        ],
        expect![[r#"
            [app] folder = "web"
            [app] module = "site"
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] required_environment = []
            - manage.py names no settings: write them as settings
            - the settings read no SECRET_KEY from the environment: the image would have a key that everybody knows
            - no settings set STATIC_ROOT, which collectstatic needs: STATIC_ROOT = BASE_DIR / "staticfiles"
            - site/urls.py has no page for the health check, /health/: add one that answers 200 (docs/adopting.md), or set path below [health]
        "#]],
    );
}

#[test]
fn no_django_project() {
    check(&[("setup.py", "")], expect!["there is no manage.py: a Django project has one"]);
}

#[test]
fn code_below_its_lock_with_what_it_needs_around_it() {
    let package = |name: &str, wheel: bool| {
        let wheels = if wheel { "wheels = [\n]\n" } else { "" };
        format!("\n[[package]]\nname = \"{name}\"\nsdist = {{ url = \"y\" }}\n{wheels}")
    };
    let lock = [("uvicorn", true), ("psycopg2", false), ("python-magic", true)];
    let lock: String = lock.map(|(name, wheel)| package(name, wheel)).concat();
    check(
        &[
            ("src/manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')"),
            (
                "src/shop/settings.py",
                "SECRET_KEY = env('SECRET_KEY')\nSTATIC_ROOT = 'staticfiles'\n",
            ),
            ("src/shop/asgi.py", ""),
            ("src/shop/urls.py", "path('health/', health)"),
            ("src/shop/locale/de/LC_MESSAGES/django.po", ""),
            ("src/shop/locale/fr/LC_MESSAGES/django.po", ""),
            ("src/shop/locale/fr/LC_MESSAGES/django.mo", ""),
            ("package.json", "{\"scripts\": {\"build\": \"vite build\"}}"),
            ("uv.lock", &lock),
            ("pyproject.toml", ""),
        ],
        expect![[r#"
            [app] folder = "src"
            [app] module = "shop"
            [app] lock = "../uv.lock"
            [app] packages = ["libpq5", "libmagic1"]
            [app] build_from_source = ["psycopg2"]
            [app] build_packages = ["gcc", "libc6-dev", "libpq-dev", "gettext"]
            [app] web_server = "uvicorn"
            [smoke] roles = ["web"]
            [app] queues = "celery"
            [app] required_environment = ["SECRET_KEY"]
            - packages without a wheel, which are built in the image: psycopg2
            - package.json builds something (build): if pages use it, [assets] makes it part of the image (docs/adopting.md)
        "#]],
    );
    // A binary package brings the library, and a compiled catalogue needs nothing.
    let lock = [("gunicorn", true), ("psycopg", true), ("psycopg-binary", true)];
    let lock: String = lock.map(|(name, wheel)| package(name, wheel)).concat();
    check(
        &[
            ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')"),
            ("shop/settings.py", "SECRET_KEY = env('SECRET_KEY')\nSTATIC_ROOT = 'staticfiles'\n"),
            ("shop/wsgi.py", ""),
            ("shop/urls.py", "path('health/', health)"),
            ("shop/locale/fr/LC_MESSAGES/django.po", ""),
            ("shop/locale/fr/LC_MESSAGES/django.mo", ""),
            ("uv.lock", &lock),
        ],
        expect![[r#"
            [app] folder = "."
            [app] module = "shop"
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] required_environment = ["SECRET_KEY"]
        "#]],
    );
}

#[test]
fn variables_by_other_names_and_a_server_in_a_group() {
    check(
        &[
            ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings.main')"),
            ("settings/__init__.py", ""),
            (
                "settings/main.py",
                "SECRET_KEY = env.str('SECRET_KEY')\nDEBUG = env.bool('SHOP_DEBUG')\n\
                 ENGINE = env.str('SHOP_DB_ENGINE')\nNAME = env.str(\"SHOP_DB_DATABASE\")\n\
                 HOST = env('SHOP_DB_HOST')\nPORT = os.environ.get('DB_PORT')\n\
                 CELERY_BROKER_URL = env('CELERY_BROKER')\nX = env.bool('USE_REDIS_URL')\n\
                 STATIC_ROOT = 'staticfiles'\n",
            ),
            ("shop/wsgi.py", ""),
            ("shop/urls.py", "path('health/', health)"),
            ("uv.lock", "\n[[package]]\nname = \"gunicorn\"\n"),
            (
                "pyproject.toml",
                "[project]\nname = 'shop'\ndependencies = ['django']\n\
                 [project.optional-dependencies]\nasync = ['uvicorn[standard]>=0.3']\n\
                 [dependency-groups]\ndocker = ['gunicorn==23']\ndev = ['ruff']\n",
            ),
        ],
        expect![[r#"
            [app] folder = "."
            [app] module = "shop"
            [app] settings = "settings.main"
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] groups = ["docker"]
            [app] required_environment = ["SECRET_KEY"]
            [app.environment] CELERY_BROKER = "{redis_url}"
            [app.environment] SHOP_DB_DATABASE = "{db_name}"
            [app.environment] SHOP_DB_ENGINE = "django.db.backends.postgresql"
            [app.environment] SHOP_DB_HOST = "{db_host}"
            [dev] environment = { SHOP_DEBUG = "True" }
        "#]],
    );
}

#[test]
fn settings_of_development_and_another_python_are_told() {
    check(
        &[
            ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.local')"),
            ("pyproject.toml", "[project]\nrequires-python = \">=3.13\"\n"),
            ("shop/settings/__init__.py", ""),
            ("shop/settings/base.py", "STATIC_ROOT = BASE_DIR / 'staticfiles'\n"),
            ("shop/settings/local.py", "SECRET_KEY = os.environ['SECRET_KEY']\n"),
            ("shop/wsgi.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')"),
            ("shop/urls.py", "re_path(r'^_health/?', views.health)"),
            ("requirements.txt", "gunicorn==23.0.0 --hash=sha256:0\n"),
        ],
        expect![[r#"
            [app] folder = "."
            [app] module = "shop"
            [app] settings = "shop.settings.local"
            [app] lock = "requirements.txt"
            [variant.prod] python = "3.13"
            [variant.dev] python = "3.13"
            [smoke] roles = ["gunicorn"]
            [app] queues = "celery"
            [app] required_environment = ["SECRET_KEY"]
            [health] path = "/_health/"
            - manage.py names shop.settings.local, which isn't production's: write that as settings; there are base, local
        "#]],
    );
}
