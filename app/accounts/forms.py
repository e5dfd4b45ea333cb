from django import forms
from django.db.transaction import on_commit

from accounts.models import BrokerCredential, Statement


class CredentialForm(forms.ModelForm):
    class Meta:
        model = BrokerCredential
        fields = ["name", "secret"]

    def clean_name(self):
        name = self.cleaned_data["name"]
        others = self.instance.user.broker_credentials.exclude(pk=self.instance.pk)
        if others.filter(name=name).exists():
            raise forms.ValidationError("You have an account of this name.")
        return name

    def save(self, commit=True):
        if "secret" in self.changed_data:
            # It may open another account.
            self.instance.balance = self.instance.balance_at = None
        return super().save(commit)


class StatementForm(forms.ModelForm):
    class Meta:
        model = Statement
        fields = ["credential", "file"]
        # The default widget links to the old file by MEDIA_URL, which serves nothing.
        widgets = {"file": forms.FileInput}

    def __init__(self, *arguments, user, **options):
        super().__init__(*arguments, **options)
        self.fields["credential"].queryset = user.broker_credentials.all()
        self.fields["credential"].label = "Account"

    def save(self, commit=True):
        if "file" not in self.changed_data:
            return super().save(commit)
        self.instance.name = self.cleaned_data["file"].name
        saved, old = super().save(commit), self.initial.get("file")
        if old:
            on_commit(lambda: old.storage.delete(old.name))
        return saved
