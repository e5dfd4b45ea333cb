from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts.forms import CredentialForm, StatementForm
from accounts.models import BrokerCredential, Statement
from accounts.tasks import refresh_balance


def page(request, credential_form=None, statement_form=None):
    context = {
        "credentials": request.user.broker_credentials.all(),
        "statements": own_statements(request.user).select_related("credential"),
        "credential_form": credential_form or CredentialForm(),
        "statement_form": statement_form or StatementForm(user=request.user),
    }
    wrong = credential_form or statement_form
    return render(request, "accounts/index.html", context, status=400 if wrong else 200)


def own_statements(user):
    return Statement.objects.filter(credential__user=user)


@login_required
def index(request):
    return page(request)


@sensitive_post_parameters("secret")
@login_required
@require_POST
def add_credential(request):
    form = CredentialForm(request.POST, instance=BrokerCredential(user=request.user))
    if not form.is_valid():
        return page(request, credential_form=form)
    form.save()
    return redirect("accounts")


@login_required
@require_POST
def refresh(request, credential_id):
    credential = get_object_or_404(request.user.broker_credentials, pk=credential_id)
    refresh_balance.delay(credential.pk)
    return redirect("accounts")


@login_required
@require_POST
def add_statement(request):
    form = StatementForm(request.POST, request.FILES, user=request.user)
    if not form.is_valid():
        return page(request, statement_form=form)
    form.save()
    return redirect("accounts")


@login_required
def statement(request, statement_id):
    """The file, for its owner alone; to everybody else there is none."""
    found = get_object_or_404(own_statements(request.user), pk=statement_id)
    try:
        file = found.file.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, as_attachment=True, filename=found.name)
