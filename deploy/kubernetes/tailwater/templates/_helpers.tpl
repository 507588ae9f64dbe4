{{/* The name of the release, short enough for what is added to it. */}}
{{- define "tailwater.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tailwater.labels" -}}
app.kubernetes.io/name: tailwater
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tailwater.selector" -}}
app.kubernetes.io/name: tailwater
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tailwater.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tailwater.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tailwater.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/*
One [[source]]. JSON's texts are TOML's: both escape quotes and control characters alike.
*/}}
{{- define "tailwater.source" -}}
[[source]]
name = {{ .name | toJson }}
url = {{ .url | toJson }}
{{- if .passwordSecret }}
password_file = "/run/secrets/tailwater/source-{{ .name }}"
{{- end }}
{{- with .settings }}
{{ . | trim }}
{{- end }}
{{ end -}}

{{- define "tailwater.http" -}}
[http]
listen = {{ .Values.http.listen | toJson }}
token_file = "/run/secrets/tailwater/http-token"
{{ end -}}

{{/* What all pods share, below `spec:` of a pod template. Called with (dict "root" $ "part" "extract" "args" list "hostname" ""). */}}
{{- define "tailwater.pod" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "tailwater.serviceAccount" .root }}
# The AWS webhook projects a token of its own; the API server is never asked anything.
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
{{- with .hostname }}
# Part of the writer's name: the next pod is known as the successor, and takes over without waiting.
hostname: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with $v.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: tailwater
    image: {{ include "tailwater.image" .root }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    args: {{- toYaml .args | nindent 6 }}
    env:
      - name: POD_NAME
        valueFrom: { fieldRef: { fieldPath: metadata.name } }
      - name: TAILWATER_LOG_FORMAT
        value: json
      {{- with $v.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if .serves }}
    ports:
      - { name: http, containerPort: {{ $v.http.port }} }
    # Alive: its tasks make steps. A source or a warehouse that is away is no reason to be restarted.
    startupProbe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 2
      failureThreshold: 60
    livenessProbe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 20
      timeoutSeconds: 5
      failureThreshold: 3
    # Ready: connected, owner of its log or group, and not too far behind. The body says what is missing.
    readinessProbe:
      httpGet: { path: /readyz, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
    {{- end }}
    resources: {{- toYaml .resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    volumeMounts:
      - { name: config, mountPath: /etc/tailwater, readOnly: true }
      - { name: secrets, mountPath: /run/secrets/tailwater, readOnly: true }
      {{- with $v.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: config
    configMap: { name: {{ include "tailwater.name" .root }} }
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret:
            name: {{ $v.http.tokenSecret.name }}
            items: [{ key: {{ $v.http.tokenSecret.key }}, path: http-token }]
        {{- range $v.secretFiles }}
        - secret:
            name: {{ .secret }}
            items: [{ key: {{ .key }}, path: {{ .path }} }]
        {{- end }}
        {{- range $v.sources }}
        {{- if .passwordSecret }}
        - secret:
            name: {{ .passwordSecret.name }}
            items: [{ key: {{ .passwordSecret.key }}, path: source-{{ .name }} }]
        {{- end }}
        {{- end }}
  {{- with $v.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
